"""The contact sheet of the worst pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisediag.benchmark import sheet
from noisediag.benchmark.sets.result import BenchmarkOptions, BenchmarkResult, WorstCase
from noisediag.errors import UsageError
from noisediag.genome.cases import Job, paper_case, sensor_case
from noisediag.genome.parameters import NAMES

SEED = 7


def _worst(set_name: str = "gaussian", draw: int = 0, **changes) -> WorstCase:
    fields = {
        "set_name": set_name,
        "domain": "scenes",
        "path": None,
        "picture": "3",
        "draw": draw,
        "error": 0.514,
        "truth": {"read_noise": 0.0123, "correlation": 0.9},
    }
    return WorstCase(**fields | changes)


def test_captions_say_where_how_far_and_what() -> None:
    assert sheet.caption(_worst(draw=2)) == (
        "gaussian: scenes/3, draw 2",
        "curve error 51 %",
        "sigma_r 0.0123, rho 0.9",
    )
    assert sheet.caption(_worst(error=math.inf, truth={}))[1:] == ("no noise found", "nothing planted")
    paper = sheet.caption(_worst("paper", truth={"gaussian": 0.25}, path="/data/natural/a\nb.png", domain="natural"))
    assert paper == ("paper: natural/a\\nb.png, draw 0", "RMSE 0.514", "gaussian 0.25")


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 1), (3, 2), (10, 5)])
def test_size_follows_from_the_number_of_cases(count: int, rows: int) -> None:
    drawn = sheet.draw([_worst(draw=draw) for draw in range(count)], SEED)
    width, height = sheet.cell_px()
    assert width == 2 * 256 + 2 * sheet.GAP_PX
    assert drawn.size == (2 * width + sheet.GAP_PX, rows * height + sheet.GAP_PX)


def test_the_sheet_shows_the_clean_and_the_noisy_picture_of_the_benchmark() -> None:
    case = _worst(draw=1)
    made = sensor_case(Job("gaussian", "scenes", "3", None, None, range(2)), 1, SEED)
    assert dict(zip(NAMES, made.truth.values, strict=True))["read_noise"] > 0
    pixels = np.asarray(sheet.draw([case], SEED))
    gap, side = sheet.GAP_PX, sheet.PICTURE_PX
    left = pixels[gap : gap + side, gap : gap + side]
    right = pixels[gap : gap + side, 2 * gap + side : 2 * (gap + side)]
    np.testing.assert_array_equal(left, np.rint(made.clean * 255))
    np.testing.assert_array_equal(right, np.rint(made.plane * 255))
    below = pixels[gap + side : gap + side + sheet.LINES * sheet.LINE_PX]
    assert (below > 128).sum() > 200  # there is a caption
    other = pixels[:, sheet.cell_px()[0] + gap :]
    assert (other == sheet.BACKGROUND).all()


def test_small_pictures_are_enlarged_and_mosaics_show_their_green(tmp_path: Path) -> None:
    path = tmp_path / "001.png"
    Image.fromarray(np.full((100, 120), 51, np.uint8)).save(path)
    clean, noisy = sheet.pictures(_worst("raw", path=str(path), domain="x", picture=path.name), SEED)
    assert clean.shape == noisy.shape == (50, 60)
    np.testing.assert_allclose(clean, 0.2)
    assert noisy.mean() == pytest.approx(0.2, abs=0.05)
    shown = np.asarray(sheet._middle(clean))
    assert (shown == 51).sum() == 16 * 50 * 60
    assert shown[128, 128] == 51
    large = np.zeros((300, 400))
    large[22:-22, 72:-72] = 1
    assert (np.asarray(sheet._middle(large)) == 255).all()


def test_cases_of_the_paper_genome_are_shown() -> None:
    made = paper_case(Job("paper", "scenes", "3", None, None, range(1)), 0, SEED)
    clean, noisy = sheet.pictures(_worst("paper"), SEED)
    np.testing.assert_array_equal(clean, made.clean)
    np.testing.assert_array_equal(noisy, made.noisy)


def test_long_captions_are_cut_to_the_width_of_a_case() -> None:
    font = sheet.ImageFont.load_default(size=11)
    line = sheet._fitting("mixture, " * 40, font)
    assert line.endswith(" ...")
    assert font.getlength(line) <= sheet.cell_px()[0]


def test_writing(tmp_path: Path) -> None:
    result = BenchmarkResult(BenchmarkOptions(seed=SEED), {}, None, 1, worst=(_worst(),))
    sheet.write(result, tmp_path / "sheet.part")
    with Image.open(tmp_path / "sheet.part") as written:
        assert written.format == "PNG"
    with pytest.raises(UsageError, match="no case"):
        sheet.write(BenchmarkResult(BenchmarkOptions(), {}, None, 0), tmp_path / "none.png")
