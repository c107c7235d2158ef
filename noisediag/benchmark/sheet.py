"""`--sheet FILE.png` of `noisediag benchmark sets` and `rendered`: the worst pictures, clean and noisy.

The cases are made anew from their names and the seed. Pictures are shown pixel by pixel, without interpolation: of a
large one the middle 256 x 256 pixels, a small one enlarged by a whole factor, of a mosaic its first green plane, of
colour its luma.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from noisediag.benchmark.rendered.cases import GROUPS, rendered_case
from noisediag.benchmark.rendered.result import RenderedResult
from noisediag.benchmark.sets.result import BenchmarkResult, WorstCase
from noisediag.errors import UsageError
from noisediag.genome.cases import Job, paper_case, sensor_case
from noisediag.genome.parameters import PARAMETERS
from noisediag.genome.rendered import CODES
from noisediag.images.image import LUMA
from noisediag.reports.table import printable

Floats = NDArray[np.float64]

PICTURE_PX = 256
GAP_PX = 8
LINE_PX = 14
LINES = 3
COLUMNS = 2
BACKGROUND, INK = 40, 230  # of 255
_SYMBOLS = {parameter.name: parameter.symbol for parameter in PARAMETERS}


def write(result: BenchmarkResult | RenderedResult, path: Path) -> None:
    """Write the contact sheet of `result.worst` as a gray PNG. Raises UsageError where no case was scored."""
    if not result.worst:
        raise UsageError("--sheet: no case was scored, so there is no worst one")
    draw(result.worst, result.options.seed).save(path, format="PNG")


def draw(cases: Sequence[WorstCase], seed: int) -> Image.Image:
    """The sheet: two cases a row, each its clean picture, its noisy one and a caption of three lines below."""
    width, height = cell_px()
    rows = -(-len(cases) // COLUMNS)
    sheet = Image.new("L", (COLUMNS * width + GAP_PX, rows * height + GAP_PX), BACKGROUND)
    canvas, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=LINE_PX - 3)
    for place, case in enumerate(cases):
        left, top = GAP_PX + place % COLUMNS * width, GAP_PX + place // COLUMNS * height
        for side, picture in enumerate(pictures(case, seed)):
            sheet.paste(_middle(picture), (left + side * (PICTURE_PX + GAP_PX), top))
        for number, line in enumerate(caption(case)):
            canvas.text((left, top + PICTURE_PX + number * LINE_PX + 2), _fitting(line, font), fill=INK, font=font)
    return sheet


def cell_px() -> tuple[int, int]:
    """Width and height of one case with its gaps."""
    return 2 * (PICTURE_PX + GAP_PX), PICTURE_PX + LINES * LINE_PX + 2 * GAP_PX


def caption(case: WorstCase) -> tuple[str, str, str]:
    """Where the case is from, how far off the model is, and what was planted (normalised, or strengths)."""
    picture = printable(case.picture if case.path is None else Path(case.path).name)
    paper = case.set_name == "paper"
    error = f"RMSE {case.error:.3f}" if paper else f"curve error {100 * case.error:.0f} %"
    planted = ", ".join(f"{_SYMBOLS.get(name, name)} {value:.3g}" for name, value in case.truth.items())
    return (
        f"{case.set_name}: {printable(case.domain)}/{picture}, draw {case.draw}",
        "no noise found" if math.isinf(case.error) else error,
        planted or "nothing planted",
    )


def pictures(case: WorstCase, seed: int) -> tuple[Floats, Floats]:
    """The clean and the noisy picture of a case, (H, W), normalised, as the benchmark had them."""
    path = None if case.path is None else Path(case.path)
    job = Job(case.set_name, case.domain, case.picture, path, None, range(case.draw, case.draw + 1))
    if case.set_name in GROUPS:
        photograph = rendered_case(job, case.draw, seed)
        weights = np.array(list(LUMA.values()))
        return photograph.clean @ weights / CODES, photograph.codes @ weights / CODES
    if case.set_name == "paper":
        planted = paper_case(job, case.draw, seed)
        return planted.clean.astype(np.float64), planted.noisy.astype(np.float64)
    made = sensor_case(job, case.draw, seed)
    if made.plane is not None:
        return made.clean, made.plane
    green = made.image.planes[1]
    codes = green.load().astype(np.float64)
    assert green.lattice is not None
    clean = made.clean[green.lattice.row :: 2, green.lattice.column :: 2]
    return clean, (codes - green.black_dn) / (green.white_dn - green.black_dn)


def _middle(picture: Floats) -> Image.Image:
    """The middle of a picture as 256 x 256 gray levels, black 0 and white 255; what is left is background."""
    top, left = (max(side - PICTURE_PX, 0) // 2 for side in picture.shape)
    cut = picture[top : top + PICTURE_PX, left : left + PICTURE_PX]
    factor = PICTURE_PX // max(cut.shape)
    cut = cut.repeat(factor, axis=0).repeat(factor, axis=1)
    shown = np.full((PICTURE_PX, PICTURE_PX), BACKGROUND, dtype=np.uint8)
    y, x = ((PICTURE_PX - side) // 2 for side in cut.shape)
    shown[y : y + cut.shape[0], x : x + cut.shape[1]] = np.rint(np.clip(cut, 0, 1) * 255)
    return Image.fromarray(shown)


def _fitting(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """`line`, with its end cut off where it is wider than a case."""
    room = 2 * PICTURE_PX + GAP_PX
    if font.getlength(line) <= room:
        return line
    while font.getlength(f"{line} ...") > room:
        line = line[:-1]
    return f"{line} ..."
