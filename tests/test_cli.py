import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tifffile
import typer
from typer.testing import CliRunner

import noisediag
import noisediag.images as real_images
from noisediag.cli import COMMANDS, app
from noisediag.cli.simulate import SCENES
from noisediag.errors import CheckpointError, TruncatedError, UsageError
from noisediag.footprint.file import CheckpointId
from noisediag.genome import scenes

CHECKPOINT = CheckpointId("sensor", "0" * 64)


class FakeModel:
    """Stands for reader and model: files of known content, footprints made by hand."""

    def __init__(self, make_footprint):
        self.make_footprint = make_footprint
        self.read_options: list[dict] = []
        self.gains: list[float | None] = []
        self.broken = False

    def read(self, path, **options):
        self.read_options.append(options)
        if not path.exists():
            raise TruncatedError(f"{path}: the file\nends early")
        if path.read_bytes() == b"bug":
            raise ZeroDivisionError("division\nby zero")
        if path.read_bytes() == b"huge":
            raise MemoryError
        if options["channel"] == "DAPI":
            raise UsageError(f"{path}: has no channel 'DAPI'")
        return SimpleNamespace(path=str(path), frames=1)

    def modules(self):
        model = self

        class Estimator:
            checkpoint = CHECKPOINT

            def __init__(self, checkpoint=None, device="auto"):
                if model.broken:
                    raise CheckpointError("sensor.safetensors: damaged")

            def estimate(self, image, *, gain=None):
                model.gains.append(gain)
                return model.make_footprint(path=image.path, warnings=("black level unknown",))

            def sigma_map(self, image, footprint, scale=None):
                return np.full((4, 6), 2.5 if scale is None else scale, np.float32)

        estimator, images = ModuleType("noisediag.estimator"), ModuleType("noisediag.images")
        estimator.Estimator, images.read = Estimator, self.read
        images.pictures = lambda path: (path,)
        images.__path__ = real_images.__path__  # what is imported later of the package is the real one's
        return {"noisediag.estimator": estimator, "noisediag.images": images}


@pytest.fixture
def model(make_footprint, monkeypatch):
    fake = FakeModel(make_footprint)
    for name, module in fake.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "photo.dng"
    path.write_bytes(b"pixels")
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def estimate(*arguments):
    return run("estimate", *arguments)


def one_error(result, exit_code):
    """The one line on stderr of a run that printed nothing else."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("noisediag: ")
    return line


class TestStreams:
    def test_a_table_by_default_and_warnings_on_stderr(self, model, picture):
        result = estimate(picture)
        assert result.exit_code == 0
        assert "noise found" in result.stdout
        assert "noise curve of all" not in result.stdout
        assert "noise curve of all" in estimate(picture, "--details").stdout
        assert all(len(line) <= 80 and line == line.rstrip() for line in result.stdout.splitlines())
        assert result.stderr == f"noisediag: {picture}: warning: black level unknown\n"

    def test_json(self, model, picture):
        report = json.loads(estimate(picture, "--json").stdout)
        assert report["schema"] == "noisediag.report/1"
        assert [image["path"] for image in report["images"]] == [str(picture)]

    def test_csv(self, model, picture):
        lines = estimate(picture, "--csv").stdout.splitlines()
        assert lines[0].startswith("path,status,")
        assert len(lines) == 1 + 5

    def test_a_report_in_a_file_leaves_stdout_empty(self, model, picture, tmp_path):
        for name in ("out.json", "out.csv"):
            result = estimate(picture, "-o", tmp_path / name)
            assert (result.exit_code, result.stdout) == (0, "")
        assert json.loads((tmp_path / "out.json").read_text("utf-8"))["images"][0]["status"] == "ok"
        assert (tmp_path / "out.csv").read_text("utf-8").startswith("path,")

    def test_a_report_in_a_file_and_on_stdout(self, model, picture, tmp_path):
        result = estimate(picture, "--json", "-o", tmp_path / "out.json")
        assert result.stdout == (tmp_path / "out.json").read_text("utf-8")

    def test_curve_and_map(self, model, picture, tmp_path):
        result = estimate(picture, "--curve", tmp_path / "c.png", "--map", tmp_path / "m.tif")
        assert result.exit_code == 0, result.output
        assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
        assert tifffile.imread(tmp_path / "m.tif").shape == (4, 6)

    def test_a_map_for_numpy(self, model, picture, tmp_path):
        assert estimate(picture, "--map", tmp_path / "m.npy").exit_code == 0
        sigma = np.load(tmp_path / "m.npy")
        assert (sigma.dtype, sigma.shape, sigma[0, 0]) == (np.float32, (4, 6), 2.5)

    def test_a_map_on_a_denoiser_s_scale(self, model, picture, tmp_path):
        assert estimate(picture, "--map", tmp_path / "m.tif", "--scale", 255).exit_code == 0
        with tifffile.TiffFile(tmp_path / "m.tif") as tiff:
            assert tiff.asarray()[0, 0] == 255
            assert tiff.pages[0].description.endswith("white - black = 255")

    def test_linear_reaches_the_reader(self, model, picture):
        assert estimate(picture, "--linear").exit_code == 0
        assert model.read_options[-1]["linear"] is True

    def test_one_number_and_nothing_else(self, model, picture, make_footprint):
        sigma = make_footprint().derived.sigma_effective
        for scale, factor in (((), 1), (("--scale", 255), 255), (("--scale", 65535), 65535)):
            result = estimate(picture, picture, "--quiet-value", *scale)
            assert result.exit_code == 0
            assert [float(line) for line in result.stdout.splitlines()] == [pytest.approx(sigma * factor, rel=1e-3)] * 2

    def test_options_for_denoisers(self, model, picture):
        assert estimate(picture, "--format", "bm3d").stdout.startswith("sigma_psd=0.00")
        assert estimate(picture, "--format", "fastdvdnet").stdout.startswith("--noise_sigma 0.4")


class TestSeveral:
    def test_a_line_each_in_the_order_given(self, model, picture, tmp_path):
        other = tmp_path / "other.dng"
        other.write_bytes(b"pixels")
        result = estimate(picture, other)
        heading, first, second = result.stdout.splitlines()
        assert heading.split()[:4] == ["file", "camera", "ISO", "domain"]
        assert [first.split()[0], second.split()[0]] == [str(picture), str(other)]
        assert len(result.stderr.splitlines()) == 2
        assert "noise curve of all" in estimate(picture, other, "--details").stdout

    def test_a_failed_one_has_a_line_and_a_reason(self, model, picture, tmp_path):
        result = estimate(tmp_path / "gone.tif", picture)
        assert result.exit_code == 3
        assert "truncated" in result.stdout.splitlines()[1]
        assert "ends early" in result.stderr

    def test_a_folder_of_pictures(self, model, tmp_path):
        for name in ("b.dng", "a.png", "notes.txt", ".hidden.png"):
            (tmp_path / name).write_bytes(b"pixels")
        lines = estimate(tmp_path).stdout.splitlines()
        assert [line.split()[0] for line in lines[1:]] == [str(tmp_path / "a.png"), str(tmp_path / "b.dng")]
        assert len(json.loads(estimate(tmp_path, "--json").stdout)["images"]) == 2
        assert "2 others passed over" in estimate(tmp_path, "--verbose").stderr
        (tmp_path / "b.dng").unlink()
        assert len(estimate(tmp_path).stdout.splitlines()) == 2  # of a folder a line, whatever is in it

    def test_folders_that_batch_is_for(self, model, tmp_path, monkeypatch):
        (tmp_path / "a.png").write_bytes(b"pixels")
        (tmp_path / ".cache").mkdir()
        assert estimate(tmp_path).exit_code == 0
        monkeypatch.setattr("noisediag.cli.inputs.MANY", 0)
        assert "1 pictures: `noisediag batch`" in one_error(estimate(tmp_path), 2)
        (tmp_path / "night").mkdir()
        assert "has sub-folders (night): `noisediag batch`" in one_error(estimate(tmp_path), 2)
        empty = tmp_path / "night"
        assert "no picture" in one_error(estimate(empty), 2)

    def test_sorted(self, model, make_footprint, tmp_path):
        for name in ("a.png", "b.png", "c.png"):
            (tmp_path / name).write_bytes(b"pixels")
        isos = {"a.png": 800, "b.png": 100, "c.png": 3200}
        model.make_footprint = lambda path, **changes: make_footprint(
            path=path, acquisition={"ISO": isos[Path(path).name]}, **changes
        )

        def names(*options):
            return [Path(line.split()[0]).name for line in estimate(tmp_path, *options).stdout.splitlines()[1:]]

        assert names() == ["a.png", "b.png", "c.png"]
        assert names("--sort", "iso") == ["b.png", "a.png", "c.png"]
        assert names("--sort", "iso", "--reverse") == ["c.png", "a.png", "b.png"]

    @pytest.mark.parametrize("options", [("--sort", "iso"), ("--reverse",)])
    def test_orders_are_for_lines(self, model, picture, options):
        one_error(estimate(picture, *options), 2)
        one_error(estimate(picture, picture, *options, "--json"), 2)

    def test_what_is_there_is_shown_when_it_is_stopped(self, model, picture, monkeypatch):
        read, seen = sys.modules["noisediag.images"].read, []

        def stop_at_the_second(path, **options):
            seen.append(path)
            if len(seen) > 1:
                raise KeyboardInterrupt
            return read(path, **options)

        monkeypatch.setattr(sys.modules["noisediag.images"], "read", stop_at_the_second)
        result = estimate(picture, picture, "--sort", "file")
        assert result.exit_code == 130
        assert len(result.stdout.splitlines()) == 2

    def test_quiet(self, model, picture):
        assert estimate(picture, "--quiet").stderr == ""
        assert "warning" in estimate(picture).stderr
        assert "took" in estimate(picture, "--verbose").stderr


class TestStdin:
    def pipe(self, content, *arguments):
        return CliRunner().invoke(app, ["estimate", *map(str, arguments)], input=content)

    @pytest.fixture
    def temporary(self, tmp_path, monkeypatch):
        """Where temporary files go, to see that none is left."""
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        return folder

    def test_a_picture_from_stdin(self, model, temporary):
        report = json.loads(self.pipe(b"pixels", "-", "--json").stdout)
        assert report["images"][0]["path"] == "-"
        assert report == json.loads(self.pipe(b"pixels", "-", "-o", "-").stdout)
        assert self.pipe(b"pixels", "-").stdout.startswith("-\n")
        assert list(temporary.iterdir()) == []

    def test_errors_name_stdin_and_leave_nothing(self, model, temporary):
        for content, words in ((b"bug", "-: ZeroDivisionError"), (b"huge", "-: not enough memory")):
            result = self.pipe(content, "-")
            assert result.exit_code == 4
            assert result.stderr.startswith(f"noisediag: {words}")
        assert "has no channel" in self.pipe(b"pixels", "-", "--channel", "DAPI").stderr
        assert str(temporary) not in self.pipe(b"pixels", "-", "--channel", "DAPI").stderr
        assert list(temporary.iterdir()) == []

    def test_once_only(self, model, temporary):
        assert "once" in one_error(self.pipe(b"pixels", "-", "-"), 2)

    def test_a_terminal_is_not_waited_for(self, model, monkeypatch):
        monkeypatch.setattr("noisediag.cli.inputs._is_terminal", lambda: True)
        assert "nothing is piped in" in one_error(estimate("-"), 2)

    def test_maps_plots_and_reports_to_stdout(self, model, picture, temporary):
        assert estimate(picture, "--map", "-").stdout_bytes.startswith((b"II*", b"MM"))
        assert estimate(picture, "--curve", "-").stdout_bytes.startswith(b"\x89PNG")
        assert estimate(picture, "-o", "-", "--csv").stdout.startswith("path,")
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize(
        "options", [("--map", "-", "--json"), ("--map", "-", "--curve", "-"), ("-o", "-", "--map", "-")]
    )
    def test_stdout_holds_one_thing(self, model, picture, options):
        assert "exclude" in one_error(estimate(picture, *options), 2)


class TestFailures:
    def test_one_bad_file_does_not_lose_the_others(self, model, picture, tmp_path):
        missing = tmp_path / "gone.cr2"
        result = estimate(missing, picture, "--json")
        assert result.exit_code == 3
        failed, good = json.loads(result.stdout)["images"]
        assert failed["error"] == {"code": "truncated", "message": "the file ends early"}
        assert good["status"] == "ok"
        assert f"noisediag: {missing}: the file ends early\n" in result.stderr

    def test_none_readable(self, model, tmp_path):
        assert "ends early" in one_error(estimate(tmp_path / "gone.cr2"), 4)

    @pytest.mark.parametrize(("content", "code"), [(b"bug", "crashed"), (b"huge", "memory")])
    def test_a_crash_costs_one_file_and_one_line(self, model, picture, tmp_path, content, code):
        bad = tmp_path / "bad.tif"
        bad.write_bytes(content)
        result = estimate(picture, bad, "--json")
        assert result.exit_code == 3
        assert json.loads(result.stdout)["images"][1]["error"]["code"] == code
        assert "Traceback" not in result.stderr
        assert len(result.stderr.splitlines()) == 2  # the warning, the error

    def test_an_option_that_does_not_fit_the_file(self, model, picture, tmp_path):
        assert "DAPI" in one_error(estimate(picture, "--channel", "DAPI"), 2)
        result = estimate(picture, picture, "--channel", "DAPI", "--csv")
        assert result.exit_code == 4
        assert result.stdout.count("unsupported") == 2

    def test_film_grain_is_for_rendered_pictures(self, model, picture):
        assert "rendered" in one_error(estimate(picture, "--format", "av1"), 2)

    def test_a_damaged_checkpoint(self, model, picture):
        model.broken = True
        assert "damaged" in one_error(estimate(picture), 5)

    def test_an_interrupt(self, model, picture, monkeypatch):
        def interrupt(path, **options):
            raise KeyboardInterrupt

        monkeypatch.setattr(sys.modules["noisediag.images"], "read", interrupt)
        assert one_error(estimate(picture), 130) == "noisediag: interrupted"


class TestUsage:
    def test_overrides_reach_the_reader_and_the_model(self, model, picture):
        levels = ("--offset", 100, "--white", 4095, "--gain", 0.5)
        parts = ("--roi", "0,8,64,32", "--frame", 3, "--series", "A/1", "--z", 2, "--dataset", "x/y")
        result = estimate(picture, *levels, *parts)
        assert result.exit_code == 0, result.output
        assert model.gains == [0.5]
        assert model.read_options == [
            {
                "black": 100.0,
                "white": 4095.0,
                "channel": None,
                "frame": 3,
                "roi": (0, 8, 64, 32),
                "linear": False,
                "series": "A/1",
                "z": 2,
                "dataset": "x/y",
            }
        ]

    def test_black_and_offset_may_agree(self, model, picture):
        assert estimate(picture, "--black", 100, "--offset", 100).exit_code == 0

    @pytest.mark.parametrize(
        "options",
        [
            ("--black", "100", "--offset", "101"),
            ("--black", "nan"),
            ("--black", "9", "--white", "9"),
            ("--gain", "0"),
            ("--roi", "1,2,3"),
            ("--roi", "0,0,0,5"),
            ("--roi", "-1,0,4,5"),
            ("--json", "--csv"),
            ("--json", "--quiet-value"),
            ("--quiet-value", "--format", "bm3d"),
            ("--scale", "255"),
            ("--scale", "255", "--format", "bm3d"),
            ("-o", "report.txt"),
            ("--curve", "curve.jpg"),
            ("--map", "map.png"),
            ("-o", "no/such/folder/report.json"),
        ],
    )
    def test_refused_before_any_work(self, model, picture, options, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        one_error(estimate(picture, *options), 2)
        assert model.read_options == []

    def test_curve_and_map_take_one_file(self, model, picture, tmp_path):
        one_error(estimate(picture, picture, "--curve", tmp_path / "c.png"), 2)
        one_error(estimate(picture, picture, "--map", tmp_path / "m.tif"), 2)

    def test_existing_output_needs_force(self, model, picture, tmp_path):
        output = tmp_path / "out.json"
        output.write_text("mine")
        assert "--force" in one_error(estimate(picture, "-o", output), 2)
        assert output.read_text() == "mine"
        assert estimate(picture, "-o", output, "--force").exit_code == 0
        assert output.read_text() != "mine"

    def test_an_input_is_never_overwritten(self, model, tmp_path):
        picture = tmp_path / "a.tif"
        picture.write_bytes(b"pixels")
        assert "input" in one_error(estimate(picture, "--map", picture, "--force"), 2)

    @pytest.mark.parametrize("arguments", [("estimate", "--no-such"), ("no-such",), ("estimate", "a", "--frame", "x")])
    def test_the_parser_s_own_errors_are_usage_errors(self, arguments):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")


class TestSimulate:
    def test_writes_a_file_and_prints_its_truth(self, tmp_path):
        result = run(
            *("simulate", "--scene", "gradient", "--size", "32x48", "--seed", 7, "-o", tmp_path / "a.tif"),
            *("--shot-gain", 1e-3, "--row-noise", 0.01, "--bit-depth", 12, "--black", 64),
        )
        assert result.exit_code == 0, result.output
        truth = json.loads(result.stdout)
        values = {entry["name"]: entry["value"] for entry in truth["parameters"]}
        assert (values["shot_gain"], values["row_noise"], values["read_noise"]) == (1e-3, 0.01, 0)
        assert (truth["bit_depth"], truth["black_dn"], truth["white_dn"]) == (12, 64, 4095)
        assert tifffile.imread(tmp_path / "a.tif").shape == (32, 48)

    def test_noise_as_in_a_report_with_changes(self, tmp_path, footprint):
        from noisediag.reports.json import dumps

        report = tmp_path / "report.json"
        report.write_text(dumps([footprint], CHECKPOINT), encoding="utf-8")
        result = run(
            *("simulate", "--scene", "gradient", "--size", "32x32", "--like", report, "--read-noise", 0.01),
            *("-o", tmp_path / "a.tif"),
        )
        assert result.exit_code == 0, result.output
        values = {entry["name"]: entry["value"] for entry in json.loads(result.stdout)["parameters"]}
        assert (values["shot_gain"], values["read_noise"], values["row_noise"]) == (2.1e-5, 0.01, 1e-4)

    def test_a_size_that_is_none(self, tmp_path):
        assert "480x640" in one_error(run("simulate", "--scene", "flat", "--size", "12", "-o", tmp_path / "a.tif"), 2)


class TestPretrain:
    SMALL = (
        *(
            "--validation-pictures",
            2,
            "--scenes",
            2,
            "--encoder-steps",
            1,
            "--genomes",
            2,
            "--curve-steps",
            2,
            "--batch",
            2,
        ),
        *(
            "--head-pictures",
            64,
            "--head-steps",
            2,
            "--calibration-pictures",
            64,
            "--paper-steps",
            2,
            "--device",
            "cpu",
        ),
    )

    def test_the_same_seed_gives_the_same_bytes(self, tmp_path):
        first, second = tmp_path / "a" / "encoder.safetensors", tmp_path / "b" / "encoder.safetensors"
        for output in (first, second):
            output.parent.mkdir()
            result = run("pretrain", "-o", output, "--seed", 3, *self.SMALL)
            assert (result.exit_code, result.stdout) == (0, ""), result.output
        assert first.read_bytes() == second.read_bytes()
        assert "--force" in one_error(run("pretrain", "-o", first, *self.SMALL), 2)

    @pytest.mark.parametrize(
        "options", [("--encoder", "e.safetensors"), ("--images", "no/such/folder"), ("--output", "encoder.pt")]
    )
    def test_refused_before_any_work(self, options, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        one_error(run("pretrain", "-o", "encoder.safetensors", *options), 2)


class TestProcess:
    """What only a process of its own shows."""

    COMMAND = (sys.executable, "-c", "from noisediag.cli import main; main()")

    @pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("estimate", "--help"), ("--show-completion",)])
    def test_help_loads_neither_torch_nor_numpy(self, arguments):
        code = (
            f"import sys; sys.argv = ['noisediag', *{arguments!r}]\n"
            "from noisediag.cli import main\n"
            "try: main()\n"
            "except SystemExit as end: assert end.code in (0, None), end.code\n"
            "assert not {'torch', 'numpy', 'scipy', 'PIL'} & set(sys.modules)\n"
        )
        environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
        if arguments == ("--show-completion",):
            code = code.replace("'--show-completion'", "'--show-completion', 'bash'")
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout

    def test_version(self):
        done = subprocess.run([*self.COMMAND, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"noisediag {noisediag.__version__}\n"

    @pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
    def test_threads_that_wait_sleep_unless_told_otherwise(self, before, after):
        code = "import os; from noisediag.cli import main\ntry: main()\nfinally: print(os.environ['OMP_WAIT_POLICY'])"
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        environment |= {} if before is None else {"OMP_WAIT_POLICY": before}
        command = [sys.executable, "-c", code, "--version"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.splitlines()[1:] == [after]

    def test_completion_offers_the_commands(self):
        environment = {
            **os.environ,
            "_NOISEDIAG_COMPLETE": "complete_bash",
            "COMP_WORDS": "noisediag es",
            "COMP_CWORD": "1",
        }
        code = "import sys; sys.argv = ['noisediag']; from noisediag.cli import app; app(prog_name='noisediag')"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
        )
        assert done.stdout.split() == ["estimate"]

    def test_a_closed_pipe_is_no_error(self, tmp_path):
        code = (
            "import sys\n"
            "from noisediag.cli.common import errors_in_words\n"
            "import typer\n"
            "app = typer.Typer()\n"
            "@app.command()\n"
            "def chatter():\n"
            "    with errors_in_words():\n"
            "        while True: sys.stdout.write('x' * 65536)\n"
            "app()\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        assert process.wait(timeout=20) == 128 + signal.SIGPIPE
        assert errors == b""


def test_the_overview_says_what_the_commands_say_of_themselves():
    group = typer.main.get_command(app)
    shown = " ".join(run("--help").stdout.split())
    for name in group.list_commands(None):
        said = " ".join(group.get_command(None, name).help.split("\n\n")[0].split())
        assert COMMANDS[name] == said
        assert f" {name} {said}" in shown
    for option in ("--version", "--install-completion", "-h, --help"):
        assert option in shown


def test_the_overview_loads_nothing_that_it_does_not_need():
    code = (
        "import sys\nfrom noisediag.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "torch", "rich", "scipy"} & set(loaded.splitlines()[-1].split())


def test_the_help_of_simulate_names_every_scene():
    assert SCENES == scenes.KINDS
