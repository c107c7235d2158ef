"""Two folders of noise: the statistics on points of known law, then simulated cameras through the shipped encoder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from noisediag import images
from noisediag.cli import app
from noisediag.errors import UsageError
from noisediag.estimator import Estimator
from noisediag.footprint.file import CheckpointId
from noisediag.genome import scenes, sensor
from noisediag.studies import distance
from noisediag.studies.distance import DistanceOptions, DistanceResult, draw

CHECKPOINT = CheckpointId("sensor", "0" * 64)
WHITE_DN, BLACK_DN = 16383, 512


def compare(a: np.ndarray, b: np.ndarray, permutations: int = 199, seed: int = 0) -> DistanceResult:
    rows = {**{Path(f"a/{i}.dng"): v for i, v in enumerate(a)}, **{Path(f"b/{i}.dng"): v for i, v in enumerate(b)}}
    options = DistanceOptions(Path("a"), Path("b"), permutations, seed)
    return distance.compare(options, CHECKPOINT, rows, {path: path.parts[0].upper() for path in rows})


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((40, 6))


@pytest.fixture
def apart(points: np.ndarray) -> DistanceResult:
    return compare(points[:20], points[20:] + 2.0)


class TestStatistics:
    def test_mmd_is_the_sum_over_pairs(self, points: np.ndarray) -> None:
        kernel = distance.gaussian_kernel(points)
        square = np.square(points[:, None] - points).sum(-1)
        expected = np.exp(-square / np.median(square[np.triu_indices(40, 1)]))
        a, b = range(15), range(15, 40)
        within = [np.mean([expected[i, j] for i in part for j in part if i != j]) for part in (a, b)]
        across = np.mean([expected[i, j] for i in a for j in b])
        found = distance.squared_mmd(kernel, (np.arange(40) < 15)[None])[0]
        assert found == pytest.approx(sum(within) - 2 * across, rel=1e-9)

    def test_it_is_unbiased_and_p_is_uniform_where_both_are_one(self) -> None:
        generator = np.random.default_rng(2)
        results = [compare(*generator.standard_normal((2, 12, 4)), permutations=39) for _ in range(200)]
        values = np.array([result.mmd2 for result in results])
        assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))
        assert 0.01 <= np.mean([result.p <= 0.05 for result in results]) <= 0.10  # 200 draws of 0.05: within 3.2 sigma
        assert 0.40 <= np.mean([result.p <= 0.5 for result in results]) <= 0.60

    def test_a_shift_is_found(self, apart: DistanceResult) -> None:
        assert apart.p == pytest.approx(1 / 200)
        assert apart.mmd2 > apart.mmd2_null_95 > 0
        assert apart.overlap < apart.overlap_null[0] < apart.overlap_null[1] <= 1

    def test_the_density_holds_one_and_the_overlap_runs_from_none_to_all(self, points: np.ndarray) -> None:
        plane = points[:, :2]
        x, y = distance.grid(np.concatenate([plane, plane + 40]))
        x, y = np.linspace(x[0], x[-1], 600), np.linspace(y[0], y[-1], 600)
        assert distance.density(plane, x, y).sum() * (x[1] - x[0]) * (y[1] - y[0]) == pytest.approx(1, abs=1e-3)
        assert distance.overlap(plane, plane, x, y) == pytest.approx(1, abs=1e-3)
        assert distance.overlap(plane, plane + 40, x, y) < 1e-6

    def test_the_overlap_of_two_normal_laws(self) -> None:
        a, b = np.random.default_rng(0).standard_normal((2, 4000, 2))
        b[:, 0] += 2.0
        x, y = distance.grid(np.concatenate([a, b]))
        assert distance.overlap(a, b, x, y) == pytest.approx(0.3173, abs=0.03)  # 2 * Phi(-1)

    def test_a_stray_is_named(self, points: np.ndarray) -> None:
        stray = np.concatenate([points[:19], points[19:20] + 4.0])
        result = compare(stray, points[20:] + 4.0)
        assert [m.path for m in result.members if m.score < 0 and m.folder == "A"] == ["a/19.dng"]
        console = Console(width=80, file=io.StringIO())
        console.print(distance.render(result))
        assert "A a/19.dng" in console.file.getvalue()  # type: ignore[attr-defined]

    def test_copies_of_one_file_do_not_differ(self) -> None:
        result = compare(np.ones((8, 3)), np.ones((8, 3)))
        assert (result.mmd2, result.p) == (0.0, 1.0)

    def test_too_few_files_are_refused(self, points: np.ndarray) -> None:
        with pytest.raises(UsageError, match="7 readable files; a comparison needs 8"):
            compare(points[:7], points[10:])

    def test_the_same_seed_gives_the_same_bytes(self, points: np.ndarray) -> None:
        first, second = (distance.dumps(compare(points[:15], points[15:], seed=3)) for _ in range(2))
        assert first == second


class TestReports:
    def test_json(self, apart: DistanceResult) -> None:
        document = json.loads(distance.dumps(apart))
        assert document["schema"] == "noisediag.distance/1"
        assert document["verdict"] == "the noise of the two folders differs (p = 0.005)"
        assert len(document["members"]) == 40

    def test_csv(self, apart: DistanceResult) -> None:
        rows = list(csv.DictReader(io.StringIO(distance.dumps_csv(apart))))
        assert [row["folder"] for row in rows] == ["A"] * 20 + ["B"] * 20
        assert float(rows[0]["score"]) == pytest.approx(apart.members[0].score, rel=1e-5)

    def test_the_plot_shows_both_folders(self, apart: DistanceResult, tmp_path: Path) -> None:
        draw(apart, tmp_path / "plot.png")
        with Image.open(tmp_path / "plot.png") as image:
            channels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
        blue = (channels[:, 2] - channels[:, 0] > 100).sum()
        orange = (channels[:, 0] - channels[:, 2] > 100).sum()
        assert min(blue, orange) > 500


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    torch.set_num_threads(1)
    return Estimator(device="cpu")


def camera(iso: float, files: int, seed: int) -> list[np.ndarray]:
    """Codes of 14 bits, scenes of all kinds at exposures from a quarter to one, under the noise of one sensor."""
    generator = torch.Generator().manual_seed(seed)
    step = 1 / (WHITE_DN - BLACK_DN)
    shown = scenes.make(files, 128, generator) * (0.25 + 0.75 * torch.rand(files, 1, 1, generator=generator))
    noise = sensor.sample("clean", files, generator)
    noise.shot_gain.fill_(2e-7 * iso)
    noise.read_noise.fill_(float(np.hypot(3e-4, 2e-6 * iso)))
    noisy = sensor.corrupt(shown, noise, generator, black_clip=-BLACK_DN * step, container_step=step).image.numpy()
    return list(np.rint(noisy / step + BLACK_DN).astype(np.uint16))


@pytest.fixture(scope="module")
def embedded(estimator: Estimator) -> dict[int, np.ndarray]:
    def embed(codes: np.ndarray) -> np.ndarray:
        return estimator.embed(images.from_array(codes, black=BLACK_DN, white=WHITE_DN))

    return {iso: np.stack([embed(codes) for codes in camera(iso, 40, iso)]) for iso in (100, 1600)}


class TestCameras:
    @pytest.mark.acceptance
    @pytest.mark.parametrize("iso", [100, 1600])
    def test_two_halves_of_one_camera_are_the_same(
        self, embedded: dict[int, np.ndarray], say: Callable[[str], None], iso: int
    ) -> None:
        generator = np.random.default_rng(0)
        same = 0
        for split in range(100):
            order = generator.permutation(40)
            halves = embedded[iso][order[:20]], embedded[iso][order[20:]]
            same += compare(*halves, permutations=39, seed=split).p > 0.05
        say(f"distance: two halves of one camera at ISO {iso} are the same in {same} of 100 splits")
        assert same >= 90

    @pytest.mark.acceptance
    def test_two_sensitivities_are_not(
        self, embedded: dict[int, np.ndarray], say: Callable[[str], None], sized: Callable[[int, int], int]
    ) -> None:
        generator = np.random.default_rng(1)
        results = []
        for _ in range(sized(2, 20)):
            low, high = (embedded[iso][generator.permutation(40)[:20]] for iso in (100, 1600))
            results.append(compare(low, high, permutations=999))
        say(f"distance: ISO 100 against 1600, p up to {max(result.p for result in results):.3g}")
        assert max(result.p for result in results) < 0.01
        assert max(result.overlap for result in results) < 0.4


class TestEmbed:
    def test_it_is_the_embedding_of_the_file_s_own_footprint(self, estimator: Estimator) -> None:
        codes = camera(800, 1, 3)[0]
        image = images.from_array(codes, black=BLACK_DN, white=WHITE_DN)
        bag = torch.from_numpy(((codes.astype(np.float32) - BLACK_DN) / (WHITE_DN - BLACK_DN))[None, None])
        with torch.inference_mode():
            answer = estimator.model(bag, torch.zeros(1), torch.tensor([False]))
        np.testing.assert_allclose(estimator.embed(image), answer.embedding[0].numpy(), rtol=1e-3, atol=1e-3)

    def test_colour_is_seen_as_luma(self, estimator: Estimator) -> None:
        gray = (camera(1600, 1, 4)[0] >> 6).astype(np.uint8)
        colour = images.from_array(np.repeat(gray[..., None], 3, axis=2), domain="rendered")
        assert colour.domain == "rendered"
        alone = estimator.embed(images.from_array(gray, domain="rendered"))
        np.testing.assert_allclose(estimator.embed(colour), alone, rtol=1e-3, atol=1e-3)


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["distance", *map(str, arguments)])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("folders")
    for name, iso in (("low", 100), ("high", 1600)):
        (root / name / "sub").mkdir(parents=True)
        for number, codes in enumerate(camera(iso, 8, iso)):
            np.save(root / name / ("sub" if number % 2 else "") / f"{number}.npy", codes)
    (root / "low" / ".hidden").write_text("not a picture")
    return root / "low", root / "high"


class TestCommand:
    def test_table_json_csv_and_plot(self, folders: tuple[Path, Path], tmp_path: Path) -> None:
        shown = invoke(*folders, "--plot", tmp_path / "plot.png")
        assert shown.exit_code == 0, shown.output
        assert "the noise of the two folders differs" in shown.stdout
        assert all(len(line) <= 80 for line in shown.stdout.splitlines())
        assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
        document = json.loads(invoke(*folders, "--json", "--permutations", 500).stdout)
        assert document["p"] < 0.01
        assert document["options"]["permutations"] == 500
        assert len(invoke(*folders, "--csv").stdout.splitlines()) == 17
        assert invoke(*folders, "-o", tmp_path / "out.json").stdout == ""
        assert json.loads((tmp_path / "out.json").read_text("utf-8"))["overlap"] == document["overlap"]

    def test_a_file_that_cannot_be_read_is_a_line_and_exit_code_3(self, folders: tuple[Path, Path]) -> None:
        bad = folders[0] / "notes.txt"
        bad.write_text("no picture")
        try:
            result = invoke(*folders)
        finally:
            bad.unlink()
        assert result.exit_code == 3
        assert f"{bad}: no known format" in result.stderr
        assert "differs" in result.stdout

    def test_what_cannot_be_compared_is_refused(self, folders: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "text").mkdir()
        (tmp_path / "text" / "a.txt").write_text("no picture")
        for arguments, words, code in (
            ((folders[0], tmp_path / "none"), "no such folder", 2),
            ((folders[0], tmp_path / "empty"), "holds no file", 2),
            ((folders[0], folders[0] / "sub"), "one folder lies in the other", 2),
            ((folders[0], tmp_path / "text"), "a comparison needs 8", 2),
            ((*folders, "--json", "--csv"), "exclude each other", 2),
            ((tmp_path / "text", tmp_path / "text2"), "no known format", 4),
        ):
            if arguments[-1] == tmp_path / "text2":
                (tmp_path / "text2").mkdir()
                (tmp_path / "text2" / "b.txt").write_text("nor this")
            result = invoke(*arguments)
            assert (result.exit_code, result.stdout) == (code, ""), result.output
            assert words in result.stderr.splitlines()[-1]
