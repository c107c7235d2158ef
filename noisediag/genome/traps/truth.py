"""What is true of a trap file, in the units of its codes, and how noise is stated where no formula tells it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from noisediag.genome.traps.files import Dng, Png, Tiff

Floats = NDArray[np.float64]

PARTS = (0.1, 0.9)  # quantiles of sigma over the picture that count as its least and greatest
APART = 1.1  # greatest over least, from which on parts of a picture differ
NEAR_LEVEL = 0.04  # of the range of the levels: pixels that stand for a level
FEW_PIXELS = 200  # below these nothing is said of a level


@dataclass(frozen=True)
class NoiseAt:
    """Standard deviation of the pixel noise, rounding included, where the mean code is `level_dn`; all in DN.

    `parts_dn`: the least and the greatest where the same level carries different noise in different places; None: it
    carries the same everywhere.
    """

    level_dn: float
    sigma_dn: float
    parts_dn: tuple[float, float] | None = None


@dataclass(frozen=True)
class Truth:
    """What an answer is held against. What is empty, None or False is not asked.

    `gain_dn`: DN per electron, of detectors that multiply their electrons the slope of the variance; `no_electrons`:
    there are none to be seen, so that no gain may be claimed. `absent`: parameters that may not have a value.
    `independent`: whether pixels carry independent noise; `no_verdict`: nothing may be said about that.
    `channel_sigma`: standard deviation of the noise in a colour channel, on a scale of 255. `channel`: of which the
    truth tells; None: of the file.
    """

    noise: tuple[NoiseAt, ...] = ()
    gain_dn: float | None = None
    no_electrons: bool = False
    absent: tuple[str, ...] = ()
    independent: bool | None = None
    no_verdict: bool = False
    channel_sigma: float | None = None
    channel: str | None = None


@dataclass(frozen=True)
class Trap:
    """A file to be written, and its truths, one a channel. `given_white_dn`: what the user says of white.

    `question`: which command is asked, `estimate` or, of frames, `advise`.
    """

    stored: Dng | Tiff | Png
    truths: tuple[Truth, ...]
    question: Literal["estimate", "advise"] = "estimate"
    given_white_dn: float | None = None


def noise_in_parts(clean_dn: Floats, factors: Floats, plain: Iterable[NoiseAt]) -> tuple[NoiseAt, ...]:
    """The noise at the levels of `plain` in a picture (H, W) in which it is `factors` (H, W) times as strong as there.

    Levels with fewer than `FEW_PIXELS` pixels are left out.
    """
    at = tuple(plain)
    found = []
    for noise, near in zip(at, _near(clean_dn, [noise.level_dn for noise in at]), strict=True):
        there = factors[near]
        if there.size < FEW_PIXELS:
            continue
        least, greatest = (float(value) * noise.sigma_dn for value in np.quantile(there, PARTS))
        mean = float(np.sqrt(np.square(there).mean())) * noise.sigma_dn
        found.append(NoiseAt(noise.level_dn, mean, (least, greatest) if greatest > APART * least else None))
    return tuple(found)


def noise_of_repeats(clean_dn: Floats, repeats_dn: Floats, levels_dn: Iterable[float]) -> tuple[NoiseAt, ...]:
    """The noise at each level, measured: `repeats_dn` (n, H, W) are n > 1 pictures of the same scene `clean_dn`.

    Levels with fewer than `FEW_PIXELS` pixels are left out.
    """
    levels = tuple(float(level) for level in levels_dn)
    variance = repeats_dn.var(axis=0, ddof=1)
    found = []
    for level, near in zip(levels, _near(clean_dn, levels), strict=True):
        there = variance[near]
        if there.size >= FEW_PIXELS:
            found.append(NoiseAt(level, float(np.sqrt(there.mean()))))
    return tuple(found)


def _near(clean_dn: Floats, levels_dn: Sequence[float]) -> list[NDArray[np.bool_]]:
    """Which pixels (H, W) stand for each of the levels."""
    reach = NEAR_LEVEL * (max(levels_dn) - min(levels_dn))
    return [np.abs(clean_dn - level) <= reach for level in levels_dn]
