"""What a user installs and reads: the public surface, the package's contents, the README."""

import ast
import importlib.util
import re
import shlex
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
from noisediag.cli import app
from noisediag.genome.parameters import PARAMETERS

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("readme", Path(__file__).parent / "readme.py")
readme = importlib.util.module_from_spec(spec)
sys.modules["readme"] = readme  # where dataclasses look for it
spec.loader.exec_module(readme)
README = (ROOT / "README.md").read_text("utf-8")


def code_blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands():
    return [line for block in code_blocks("sh") for line in block.splitlines() if line and not line.startswith("#")]


def noisediag_commands():
    """The arguments of every `noisediag ...` in the README, whatever stands before it on the line."""
    found = [shlex.split(part.strip()) for line in commands() for part in line.split("&&")]
    return [words[1:] for words in found if words[0] == "noisediag"]


def same(old, new):
    """Equal words; numbers may move with the processor's arithmetic: 5 %, or one where they are whole."""
    try:
        a, b = float(old), float(new)
    except ValueError:
        return old == new
    return abs(a - b) <= max(0.05 * abs(a), 1.0 if old.isdecimal() else 0.0)


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
    def test_installs_and_tests_in_two_commands(self):
        first, second = [command for command in commands() if command.startswith("pip install")]
        assert first == "pip install . && noisediag estimate tests/data/sample.dng"
        assert second == 'pip install -e ".[test]" && pytest -n 2'

    @pytest.mark.acceptance
    @pytest.mark.parametrize("example", readme.examples(README), ids=lambda example: example.commands.split()[1])
    def test_shows_what_its_commands_print(self, example, sized):
        """Those that need no other file than the repository's; at full size all."""
        if not example.cheap and sized(True, False):
            pytest.skip("takes minutes: NOISEDIAG_FULL=1 runs it")
        shown, printed = example.output.split(), readme.shown(example, readme.run(example)).split()
        assert len(shown) == len(printed)
        for old, new in zip(shown, printed, strict=True):
            assert same(old, new), (old, new)

    def test_has_a_section_for_every_user(self):
        for user in (
            "denoiser users",
            "microscopists",
            "RAW developers and photographers",
            "astrophotographers",
            "camera engineers",
            "curators",
        ):
            section = README.split(f"\n## For {user}\n")[1].split("\n## ")[0]
            assert "noisediag " in section
            assert readme.examples(section) or "#folders" in section

    def test_every_command_it_names_exists_with_its_options(self):
        import typer

        group = typer.main.get_command(app)
        for arguments in noisediag_commands():
            if arguments[0].startswith("-"):
                continue
            command = group.get_command(None, arguments[0])
            if hasattr(command, "commands"):  # a group: its options are those of the sub-command
                command = command.commands[arguments[1]]
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            assert {word for word in arguments if word.startswith("-")} <= known

    def test_every_command_is_mentioned(self):
        import typer

        for name in typer.main.get_command(app).list_commands(None):
            assert f"noisediag {name}" in README

    def test_its_python_runs(self, monkeypatch, capsys):
        monkeypatch.chdir(ROOT)
        for block in code_blocks("python"):
            ast.parse(block)
            exec(compile(block, "README.md", "exec"), {})  # its own words, as a reader would type them
        assert "1/e-" in capsys.readouterr().out

    def test_lists_the_parameters_as_they_are_declared(self):
        for parameter in PARAMETERS:
            assert f"| {parameter.name} | {parameter.symbol} | {parameter.unit} | {parameter.text} |" in README

    def test_ci_runs_its_commands(self):
        script = (ROOT / ".ci" / "run").read_text("utf-8")
        assert "README.md | grep '^pip install'" in script
        assert script.rstrip().endswith('step "${commands[1]##* && }"')
