"""Noise measured from pairs: a noisy picture and its clean counterpart, as the mean of many frames."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UnsupportedError, UsageError
from noisediag.footprint.file import Footprint, Measurement
from noisediag.images.image import LUMA, Plane
from noisediag.images.missing import complete
from noisediag.labels.bursts import ReadOptions, luma, neighbour_correlation, pooled_colours
from noisediag.labels.footprints import PlaneMeasurement, describe, footprint_of
from noisediag.labels.repeats import lag_sums, line_offsets, line_variances, without_lines
from noisediag.labels.screening import COARSE_PX, coarse, compare_frames, pair_fault, smooth
from noisediag.labels.variance_law import binned, fit_law, rescaled

Floats = NDArray[np.float64]

EQUIVALENT_PAIRS = 1.5  # of frames, that know a variance as well as one frame whose mean is known
MOVED_SHARE = 0.03  # of the variance; sharpening and tone curves alone explain more of it than of two frames
MIN_SIDE_PX = 2 * COARSE_PX


def matched(noisy: Sequence[Path], clean: Sequence[Path]) -> tuple[tuple[Path, Path], ...]:
    """Each noisy file with its clean one: of the same name or, failing that, of the same words beside those that all
    files of its side have in common (`input_010.tif` and `target_010.tif`).

    Raises UsageError for a noisy file with none or several counterparts.
    """
    if len(noisy) == 1 and len(clean) == 1:
        return ((noisy[0], clean[0]),)
    found = []
    by_stem: dict[object, list[Path]] = {}
    by_words: dict[object, list[Path]] = {}
    for path, words in zip(clean, _words(clean), strict=True):
        by_stem.setdefault(path.stem, []).append(path)
        by_words.setdefault(words, []).append(path)
    for path, words in zip(noisy, _words(noisy), strict=True):
        partners = by_stem.get(path.stem) or by_words.get(words, [])
        if len(partners) != 1:
            several = f"{len(partners)} files answer" if partners else "no file answers"
            raise UsageError(f"{path}: {several} to its name among the clean ones")
        found.append((path, partners[0]))
    return tuple(found)


def _words(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """The words of each name that not all names share."""
    words = [tuple(re.split(r"[^0-9A-Za-z]+", path.stem)) for path in paths]
    shared = set.intersection(*(set(one) for one in words)) if len(words) > 1 else set()
    return [tuple(word for word in one if word not in shared) for one in words]


def from_files(noisy: Path, clean: Path, reading: ReadOptions) -> Footprint:
    """The footprint of `noisy` from what it has beyond `clean`.

    Brightness and contrast of the clean picture are fitted to those of the noisy one. Raises the InputErrors of both,
    and UnsupportedError where they do not show the same scene.
    """
    image, truth = reading.read(noisy), reading.read(clean)
    names, others = ([plane.name for plane in one.planes] for one in (image, truth))
    if names != others or image.frames > 1 or truth.frames > 1:
        raise UnsupportedError(f"{noisy.name} and {clean.name} are no single pictures of one kind")
    try:
        found = [(own, measure(own, other)) for own, other in zip(image.planes, truth.planes, strict=True)]
        single = len(found) == 1
        planes = [describe(one, p, name="all" if single else p.name, channel=p.channel) for p, one in found]
        if image.domain == "raw-linear" and not single:
            planes.append(pooled_colours(found))
        elif image.domain == "rendered" and set(names) == set(LUMA):
            own, other = luma(image.planes), luma(truth.planes)
            planes.append(describe(measure(own, other), own, name="luma"))
    except UnsupportedError as error:
        raise UnsupportedError(f"{noisy.name} and {clean.name}: {error}") from None
    return footprint_of(image, planes, Measurement("pairs", (str(noisy),), 1, 1))


def measure(noisy: Plane, clean: Plane) -> PlaneMeasurement:
    """One plane's noise. Raises UnsupportedError for planes of two sizes, below 32 x 32 px, or of two scenes."""
    if noisy.shape != clean.shape:
        sizes = [f"{plane.shape[1]} x {plane.shape[0]} px" for plane in (noisy, clean)]
        raise UnsupportedError(f"{sizes[0]} and {sizes[1]}: pairs are of one size")
    if min(noisy.shape) < MIN_SIDE_PX:
        raise UnsupportedError(f"at least {MIN_SIDE_PX} x {MIN_SIDE_PX} pixels are needed")
    values = complete(noisy).astype(np.float64)
    signal = _fitted(complete(clean).astype(np.float64), values)
    top = min(noisy.white_dn, float(values.max()))
    bottom = float(values.min())
    reason = pair_fault(
        replace(compare_frames(signal, values, black_dn=noisy.black_dn, top_dn=top), brightness=0.0),
        moved_share=MOVED_SHARE,
    )
    if reason is not None:
        raise UnsupportedError(reason)
    # As the difference of two frames has it: twice the variance of one.
    noise = (values - signal) * math.sqrt(2)
    rows, columns = (line_offsets(parts, 1, noisy.shape, axis) for axis, parts in line_variances([noise]))
    noise = without_lines(noise, rows, columns)
    down, right, energy = lag_sums(noise)
    low, high = (values <= bottom).astype(np.float64), (values >= top).astype(np.float64)
    parts: list[Floats] = [signal, noise**2 / 2, np.ones(noise.shape), low, high]
    mean, variance, weight, low, high = (part[1:-1, 1:-1] for part in parts)
    span = noisy.white_dn - noisy.black_dn
    sums = rescaled(binned(mean, variance, weight, low, high, key=smooth(signal)), noisy.black_dn, span)
    found = fit_law(sums, EQUIVALENT_PAIRS, np.random.default_rng(0), curved=noisy.offset_known, mean_noise=0.0)
    return PlaneMeasurement(
        law=found,
        signal=(signal - noisy.black_dn) / span,
        sums=sums,
        pairs=np.full(sums.shape[1], EQUIVALENT_PAIRS),
        row=rows.over(span),
        column=columns.over(span),
        lag1=neighbour_correlation((down + right) / 2 / energy, 1 / math.sqrt(noise.size)),
        clipped=float(np.mean((values <= bottom) | (values >= top))),
    )


def _fitted(clean: Floats, noisy: Floats) -> Floats:
    """`clean` with the contrast and brightness of `noisy`, by least squares over coarse blocks."""
    levels, target = coarse(clean).ravel(), coarse(noisy).ravel()
    spread = float(np.var(levels))
    gain = float(np.mean((levels - levels.mean()) * (target - target.mean()))) / spread if spread > 0 else 1.0
    return np.asarray((clean - levels.mean()) * gain + target.mean())
