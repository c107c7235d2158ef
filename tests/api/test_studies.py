"""`measure`, `simulate`, `advise`, `profile`, `check` and `finetune` from Python."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import noisediag
from noisediag.api import making
from noisediag.errors import CheckpointError, NoBetterError
from noisediag.footprint.file import Footprint

SAMPLE = Path(__file__).parents[1] / "data" / "sample.dng"
GAIN = 2.0  # DN/e-


def shot(light: Any, seed: int) -> np.ndarray:
    electrons = np.random.default_rng(seed).poisson(np.broadcast_to(light, (96, 96)))
    return (electrons * GAIN + 100 + np.random.default_rng(seed + 99).normal(0, 4, electrons.shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    light = np.linspace(50, 1500, 96 * 96).reshape(96, 96)
    return np.stack([shot(light, seed) for seed in range(6)])


class TestMeasure:
    def test_lists_of_arrays_and_files_are_one_measurement(self, frames: np.ndarray, tmp_path: Path) -> None:
        for place, frame in enumerate(frames):
            tifffile.imwrite(tmp_path / f"{place}.tif", frame)
        whole = noisediag.measure(repeats=frames, black=100, white=4095)
        assert whole.derived.K.value == pytest.approx(GAIN, rel=0.1)
        for source in (list(frames), sorted(tmp_path.iterdir()), tmp_path):
            assert noisediag.measure(repeats=source, black=100, white=4095).sigma(0.3) == whole.sigma(0.3)
        assert noisediag.measure(repeats=list(frames)).path is None

    def test_flats_and_darks(self, tmp_path: Path) -> None:
        flats, darks = [shot(800, 1), shot(800, 2)], [shot(0, 3), shot(0, 4)]
        measured = noisediag.measure(flats=flats, darks=darks, white=4095)
        assert measured.derived.K.value == pytest.approx(GAIN, rel=0.1)
        assert measured.path is None
        assert noisediag.measure(flats=np.stack(flats), darks=np.stack(darks), white=4095).planes == measured.planes
        paths = []
        for place, frame in enumerate((*flats, *darks)):
            paths.append(tmp_path / f"{place}.tif")
            tifffile.imwrite(paths[-1], frame)
        assert noisediag.measure(flats=paths[:2], darks=paths[2:], white=4095).sigma(0.2) == measured.sigma(0.2)

    def test_pairs(self, frames: np.ndarray) -> None:
        clean = frames.mean(axis=0).astype(np.float32)
        measured = noisediag.measure(pairs=(frames[0].astype(np.float32), clean), black=100, white=4095)
        assert measured.measurement is not None
        assert measured.measurement.route == "pairs"

    def test_several_scenes_are_several_measurements(self, frames: np.ndarray, tmp_path: Path) -> None:
        for scene in ("a", "b"):
            tifffile.imwrite(tmp_path / f"{scene}.tif", frames)
        (tmp_path / "c.tif").write_bytes(b"II*\0")
        with pytest.raises(noisediag.UsageError, match="measure_many"):
            noisediag.measure(repeats=tmp_path)
        one, two, broken = noisediag.measure_many(repeats=tmp_path)
        assert isinstance(one, Footprint)
        assert one.planes == two.planes
        assert isinstance(broken, noisediag.Failure)
        with pytest.raises(noisediag.InputError):
            list(noisediag.measure_many(repeats=tmp_path, errors="raise"))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "one of repeats=, flats= and pairs= is needed"),
            ({"repeats": "a", "pairs": ("a", "b")}, "not repeats and pairs"),
            ({"repeats": "a", "darks": ["b"]}, "go with flats="),
            ({"pairs": ("a",)}, "noisy, clean"),
            ({"flats": [np.zeros((32, 32))]}, "two shots or more"),
            ({"flats": 3}, "flats is a folder"),
        ],
    )
    def test_refusals(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(noisediag.UsageError, match=words):
            noisediag.measure(**options)


class TestSimulate:
    def test_arrays_in_and_out(self) -> None:
        clean = np.linspace(0.1, 0.6, 128 * 128).reshape(128, 128)
        options = {"shot_gain": 1e-3, "read_noise": 2e-3, "black": 64, "white": 4095, "seed": 3}
        made = noisediag.simulate(clean, **options)
        assert (made.picture.shape, made.picture.dtype) == (clean.shape, np.uint16)
        assert (made.truth["shot_gain"], made.black_dn, made.white_dn) == (1e-3, 64, 4095)
        deviation = (made.picture.astype(float) - 64) / 4031 - clean
        assert deviation.var() == pytest.approx(1e-3 * clean.mean() + 4e-6, rel=0.05)
        np.testing.assert_array_equal(made.picture, noisediag.simulate(clean, **options).picture)
        assert json.loads(made.dumps())["path"] is None

    def test_what_is_written_is_what_is_returned(self, tmp_path: Path) -> None:
        out = tmp_path / "a.tif"
        made = noisediag.simulate(scene="photo", output=out, size=(64, 64), read_noise=0.01)
        np.testing.assert_array_equal(tifffile.imread(out), made.picture)
        with pytest.raises(noisediag.UsageError, match="force"):
            noisediag.simulate(scene="photo", output=out, size=(64, 64))

    def test_colours_and_frames(self) -> None:
        clean = np.full((32, 32, 3), (64, 128, 192), np.uint8)
        assert noisediag.simulate(clean, read_noise=0.01, bit_depth=8).picture.shape == clean.shape
        assert noisediag.simulate(clean[..., 1], frames=3).picture.shape == (3, 32, 32)
        level = noisediag.simulate(clean[..., 1]).picture
        assert level.mean() == pytest.approx(128 / 255 * 65535, abs=1)

    def test_like_a_footprint(self, footprint: Footprint) -> None:
        made = noisediag.simulate(np.full((32, 32), 0.5), like=footprint, row_noise=0.0)
        assert made.truth["shot_gain"] == footprint["shot_gain"].value
        assert made.truth["row_noise"] == 0

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "a clean picture or scene is needed"),
            ({"clean": np.full((32, 32), 2.0)}, "floats beyond 0 to 1"),
            ({"scene": "phot"}, "no scene is called"),
            ({"scene": "photo", "read_noise": "3"}, "read_noise is a number"),
            ({"scene": "photo", "bit_depth": 4}, "bit_depth: 8 to 16"),
            ({"scene": "photo", "like": 3}, "like is a footprint"),
            ({"scene": "photo", "shotgain": 3}, "did you mean 'shot_gain'"),
        ],
    )
    def test_refusals(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(noisediag.UsageError, match=words):
            noisediag.simulate(**options)


class TestPlanning:
    def test_advise(self, frames: np.ndarray) -> None:
        advice = noisediag.advise(frames, target_snr=100, black=100, white=4095, device="cpu")
        assert advice.how == "measured"
        assert advice.gain.value == pytest.approx(GAIN, rel=0.1)
        with pytest.raises(noisediag.UsageError, match="background, median, peak"):
            noisediag.advise(frames, level="dark")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="target_snr is a number"):
            noisediag.advise(frames, target_snr="3")  # type: ignore[arg-type]

    def test_profile_and_check_take_files_and_footprints(self) -> None:
        footprint = noisediag.estimate(SAMPLE, device="cpu")
        profile = noisediag.profile([footprint, footprint])
        (entry,) = profile.entries
        assert [colour.name for colour in entry.colours] == ["R", "G", "B"]
        assert entry.colours[1].S.value == pytest.approx(1.5e-4, rel=0.1)
        result = noisediag.check([footprint])
        assert len(result.rows) == 6
        assert [row.ratio for row in result.rows if row.quantity.startswith("S")] == pytest.approx([1, 1, 1], rel=0.1)
        with pytest.warns(UserWarning, match="left out: item 0: a rendered picture"):
            assert noisediag.profile([np.full((32, 32, 3), 128, np.uint8), footprint], device="cpu").entries
        with (
            pytest.warns(UserWarning, match=r"left out: none\.dng: no such file"),
            pytest.raises(noisediag.UsageError, match="no picture is left"),
        ):
            noisediag.check(["none.dng"], device="cpu")

    def test_data_sheets_are_mappings(self) -> None:
        footprint = noisediag.estimate(SAMPLE, device="cpu")
        found = noisediag.check([footprint], metadata=False, datasheet={"gain": 0.58, "read_noise": 23})
        assert found.rows
        assert found.rows == noisediag.check([footprint], metadata=False, datasheet="gain=0.58,read_noise=23").rows
        with pytest.raises(noisediag.UsageError, match="unknown name in datasheet 'gian': gain, full_well"):
            noisediag.check([footprint], datasheet={"gian": 1})
        with pytest.raises(noisediag.UsageError, match="what to check against"):
            noisediag.check([footprint], metadata=False)


class TestLabels:
    """The forms of a table; the learning itself is tested where it is."""

    ROWS = ({"path": "a.png", "dose": 3.0, "group": "x"}, {"path": "b.png", "dose": None, "group": "y"})

    def written(self, labels: Any, tmp_path: Path) -> list[dict[str, str]]:
        with making._table(labels, tmp_path / "labels.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def forms(self) -> list[Any]:
        columns = {name: [row[name] for row in self.ROWS] for name in self.ROWS[0]}
        rows = {row["path"]: {name: row[name] for name in ("dose", "group")} for row in self.ROWS}
        return [list(self.ROWS), columns, rows]

    def test_all_forms_are_one_table(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pandas = pytest.importorskip("pandas")
        monkeypatch.chdir(tmp_path)
        frame = pandas.DataFrame(list(self.ROWS))
        for labels in (*self.forms(), frame, frame.set_index("path"), frame.convert_dtypes()):
            first, second = self.written(labels, tmp_path)
            assert first == {"path": str(tmp_path / "a.png"), "dose": "3.0", "group": "x"}
            assert second == {"path": str(tmp_path / "b.png"), "dose": "", "group": "y"}

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            (3, "labels are the path of a CSV"),
            ([1, 2], "labels are the path of a CSV"),
            ({"a.png": 3.0}, "labels are the path of a CSV"),
            ({"path": ["a"], "dose": [1, 2]}, "columns of 1 and 2 rows"),
            ([{"dose": 3}], "the column path is missing"),
            ([{"path": 3, "dose": 3}], "no path"),
            ([{"path": "a", "dose": object()}], "neither a number nor a word"),
        ],
    )
    def test_other_forms_are_refused(self, labels: Any, words: str, tmp_path: Path) -> None:
        with pytest.raises(noisediag.UsageError, match=words):
            self.written(labels, tmp_path)

    @pytest.mark.parametrize(
        ("code", "kind"),
        [(1, NoBetterError), (2, noisediag.UsageError), (4, noisediag.InputError), (5, CheckpointError)],
    )
    def test_what_the_process_says_is_raised(
        self, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
    ) -> None:
        self.instead(
            monkeypatch, f"import sys; sys.stderr.write('noisediag: LABELS: --shots says why\\n'); sys.exit({code})"
        )
        with pytest.raises(kind, match=r"^labels: shots says why$"):
            noisediag.finetune([{"path": "a.png", "dose": 3}])

    def test_the_verdicts_and_the_path_come_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        report = {"verdicts": [{"name": "dose", "better": True}, {"name": "haze", "better": False}]}
        told = "noisediag: warning: haze: not shown to be better, left out\\n"
        self.instead(monkeypatch, f"import sys; print({json.dumps(json.dumps(report))}); sys.stderr.write('{told}')")
        with pytest.warns(UserWarning, match="^haze: not shown"):
            made = noisediag.finetune([{"path": "a.png", "dose": 3}], "mine.safetensors")
        assert (made.path, made.better, made.report) == (Path("mine.safetensors"), ("dose",), report)

    def test_arguments_reach_the_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Sequence[str]] = []
        monkeypatch.setattr(making, "_ran", lambda words, hidden: seen.append(words) or {"verdicts": []})
        noisediag.finetune("t.csv", "o.safetensors", flats=["a", "b"], shots=50, full=True, from_metadata=Path("d"))
        (words,) = seen
        joined = " ".join(words)
        for part in ("--flats a b", "--shots 50", "--full", "--from-metadata d", "--labels t.csv", "-o o.safetensors"):
            assert part in joined
        with pytest.raises(noisediag.UsageError, match="by their paths"):
            noisediag.finetune(pairs=(np.zeros(3), np.zeros(3)))  # type: ignore[arg-type]

    def instead(self, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
        """Let the process run `code` instead; LABELS in it is the path of the table."""
        code = f"import sys; table = sys.argv[sys.argv.index('--labels') + 1]\n{code}".replace(
            "LABELS", "' + table + '"
        )
        monkeypatch.setattr(making, "_COMMAND", code)


@pytest.mark.acceptance
def test_a_head_from_labels_in_memory(tmp_path: Path, sized: Callable[[bool, bool], bool]) -> None:
    """The whole way: a table in memory, a process that learns, a checkpoint that `estimate` takes."""
    if sized(True, False):
        pytest.skip("takes half a minute: NOISEDIAG_FULL=1 runs it")
    rows, clean = [], np.full((64, 64), 0.4)
    for seed in range(40):
        strength = 0.002 + 0.0015 * seed
        path = tmp_path / f"{seed}.tif"
        noisediag.simulate(clean, path, read_noise=strength, seed=seed)
        rows.append({"path": path, "grit": strength})
    made = noisediag.finetune(rows, tmp_path / "mine.safetensors", shots=20, device="cpu")
    assert made.better == ("grit",)
    found = noisediag.estimate(rows[30]["path"], checkpoint=made.path, device="cpu")["grit"]
    assert found.value == pytest.approx(rows[30]["grit"], rel=0.3)
