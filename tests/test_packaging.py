"""What a user installs and reads: the public surface, the package's contents, the README."""

import re
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import noisediag

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


class TestPublicSurface:
    def test_is_small_and_complete(self):
        assert sorted(noisediag.__all__) == noisediag.__all__
        assert set(noisediag.__all__) == {"__version__", *noisediag._HOMES}
        assert dir(noisediag) == noisediag.__all__
        for name in noisediag.__all__:
            assert getattr(noisediag, name) is not None

    def test_no_module_takes_the_place_of_a_function(self):
        modules = {path.stem for path in (ROOT / "noisediag").iterdir()}
        assert not modules & set(noisediag.__all__)

    def test_an_unknown_name_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match=r"no attribute 'estimat'; there are: .*estimate"):
            _ = noisediag.estimat

    def test_importing_loads_neither_numpy_nor_torch(self):
        code = "import sys, noisediag; sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
        assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


class TestMetadata:
    def test_one_version(self):
        assert metadata.version("noisediag") == noisediag.__version__

    def test_torch_is_bounded_where_it_was_tested(self):
        requirements = [Requirement(line) for line in metadata.requires("noisediag") or ()]
        torch = next(r for r in requirements if r.name == "torch")
        assert torch.specifier.contains(Version("2.13.0"))
        assert not torch.specifier.contains(Version("2.13.1"))

    @pytest.mark.parametrize(
        "extra", ["plot", "fits", "heif", "video", "bioio", "benchmark", "parquet", "cluster", "explain", "test", "all"]
    )
    def test_extras(self, extra):
        assert extra in (metadata.metadata("noisediag").get_all("Provides-Extra") or ())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a wheel and a source distribution made from this tree."""
    pytest.importorskip("hatchling", reason="the dependency group `dev` is not installed")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class TestDistributions:
    def test_the_wheel_holds_models_schema_and_types(self, built):
        (wheel,) = built.glob("*.whl")
        names = set(zipfile.ZipFile(wheel).namelist())
        models = {f"noisediag/models/{path.name}" for path in (ROOT / "models").glob("*.safetensors")}
        assert models
        assert (
            models | {"noisediag/models/SHA256SUMS", "noisediag/reports/report.schema.json", "noisediag/py.typed"}
            <= names
        )
        pages = {f"noisediag/guide/{path.name}" for path in (ROOT / "noisediag" / "guide").glob("*.md")}
        assert pages
        assert pages <= names
        templates = (ROOT / "noisediag" / "reports" / "templates").iterdir()
        assert {f"noisediag/reports/templates/{path.name}" for path in templates} <= names
        assert not [name for name in names if name.startswith(("tests/", "models/"))]

    def test_the_source_distribution_holds_models_and_tests(self, built):
        (sdist,) = built.glob("*.tar.gz")
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        assert {f"models/{path.name}" for path in (ROOT / "models").iterdir() if path.is_file()} <= names
        assert {"tests/test_packaging.py", "README.md", "LICENSE", "CHANGELOG.md"} <= names


class TestReadme:
    """What else it says is held by tests/guide."""

    def test_installs_and_tests_in_two_commands(self):
        first, second = [command for command in commands() if command.startswith("pip install")]
        assert first == "pip install . && noisediag estimate tests/data/sample.dng"
        assert second == 'pip install -e ".[test]" && pytest -n 2'

    def test_ci_runs_its_commands(self):
        script = (ROOT / ".ci" / "run").read_text("utf-8")
        assert "README.md | grep '^pip install'" in script
        assert script.rstrip().endswith('step "${commands[1]##* && }"')
