"""Repeats as people have them: a stack, or a folder of files, measured channel by channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.errors import UnsupportedError
from noisediag.footprint.file import Footprint, Measurement
from noisediag.footprint.plane import PlaneFootprint
from noisediag.footprint.values import SD_90, Quantity
from noisediag.images.image import DEPTH, LUMA, Image, Plane
from noisediag.images.missing import complete
from noisediag.labels import repeats
from noisediag.labels.detection import Detection, quadratic_mean
from noisediag.labels.footprints import PlaneMeasurement, describe, footprint_of
from noisediag.labels.repeats import Repeats
from noisediag.labels.screening import smooth
from noisediag.labels.variance_law import fit_law, rescaled

Floats = NDArray[np.float64]

MAX_VALUES_KEPT = 1 << 28  # of all frames, in memory (1 GiB of float32); more are read again where they are needed
MIN_CORRELATION = 0.02  # with the next pixel, of noise that counts as correlated: a kernel of 0.33 px


@dataclass(frozen=True)
class ReadOptions:
    """How files are read: levels in DN, and the part of them that is looked at."""

    black: float | None = None
    white: float | None = None
    channel: str | None = None
    roi: tuple[int, int, int, int] | None = None
    series: str | None = None
    z: int | None = None
    dataset: str | None = None

    def read(self, path: Path) -> Image:
        """Raises the errors of `images.read`."""
        return images.read(path, **vars(self))


def from_files(path: Path, files: Sequence[Path], reading: ReadOptions) -> Footprint:
    """The footprint of repeats, one a file, in their order; `path`: of their folder.

    A file that cannot be read, or is no picture of the same kind, raises an InputError that names it.
    """
    image, columns = read_burst(path, files, reading)
    return _measure_columns(image, columns, [file.name for file in files[: len(columns[0])]], files)


def read_burst(path: Path, files: Sequence[Path], reading: ReadOptions) -> tuple[Image, list[list[Plane]]]:
    """The first of `files` under the name `path`, and the frames of each of its planes. Raises as `from_files`."""
    if len(files) < 2:
        raise UnsupportedError("repeats are two frames or more")
    first = reading.read(files[0])
    many = sum(math.prod(plane.shape) for plane in first.planes) * len(files) > MAX_VALUES_KEPT
    frames = []
    for file in files[: repeats.MAX_FRAMES]:
        image = reading.read(file)
        if image.frames > 1:
            raise UnsupportedError(f"{file.name} is a stack: give it by itself, or a folder of stacks")
        kind = [(plane.name, plane.channel) for plane in image.planes]
        if kind != [(plane.name, plane.channel) for plane in first.planes] or image.domain != first.domain:
            raise UnsupportedError(f"{file.name} and {files[0].name} are no pictures of one kind")
        unloaded = [replace(p, load=partial(_load_again, file, reading, place)) for place, p in enumerate(image.planes)]
        frames.append(unloaded if many else list(image.planes))
    image = replace(first, path=str(path), sha256=None, frames=len(files))
    return image, [list(column) for column in zip(*frames, strict=True)]


def from_stack(image: Image) -> Footprint:
    """The footprint of a stack's frames as repeats. Raises UnsupportedError where it is none, or shows no one scene."""
    if image.frames < 2:
        raise UnsupportedError("is a single picture: repeats are a stack, or a folder of files")
    if not image.repeats:
        raise UnsupportedError("frames of a movie, which codecs predict from each other, noise and all, are no repeats")
    files = [] if image.path is None else [Path(image.path)]
    image = over_time(image)
    return _measure_columns(image, columns_of(image), (), files)


def with_repeats(estimate: Footprint, image: Image) -> Footprint:
    """`estimate` of a stack with its frames' own measurement beside it, or a warning why they give none."""
    if not image.repeats:
        return estimate
    try:
        return replace(estimate, measured=from_stack(image))
    except UnsupportedError as error:
        reason = str(error).removeprefix(f"{image.path}: ")
        return replace(estimate, warnings=(*estimate.warnings, f"nothing measured beside the estimate: {reason}"))


def over_time(image: Image, *, single: bool = False) -> Image:
    """`image` without its depths: of an axis Z the middle one is kept, and told, since depths are no repeats.

    Raises UnsupportedError where frames lie along Z alone; `single`: then the picture in the middle is kept.
    """
    lengths = [length for _, length in image.frame_axes]
    place = next((place for place, (letter, _) in enumerate(image.frame_axes) if letter == DEPTH), None)
    if place is None or math.prod(lengths) != image.frames:
        return image
    middle = lengths[place] // 2
    times = image.frames // lengths[place]
    if times == 1 and not single:
        raise UnsupportedError(f"its {image.frames} frames lie along Z, depths and not times: they are no repeats")
    kept = [
        plane
        for plane in image.planes
        if plane.frame is not None and np.unravel_index(plane.frame, lengths)[place] == middle
    ]
    axes = tuple(axis for axis in image.frame_axes if axis[0] != DEPTH)
    note = f"frames along Z are depths and no repeats: of {lengths[place]} the middle one is used"
    return replace(image, planes=tuple(kept), frames=times, frame_axes=axes, warnings=(*image.warnings, note))


def columns_of(image: Image) -> list[list[Plane]]:
    """The frames of each plane, or channel, of a file."""
    columns: dict[tuple[str, str | None], list[Plane]] = {}
    for plane in image.planes:
        columns.setdefault((plane.name, plane.channel), []).append(plane)
    return list(columns.values())


def _load_again(path: Path, reading: ReadOptions, place: int) -> NDArray[np.generic]:
    return reading.read(path).planes[place].load()


def _measure_columns(
    image: Image, columns: Sequence[Sequence[Plane]], names: Sequence[str], files: Sequence[Path]
) -> Footprint:
    """One footprint a column, a channel's or colour's frames; of all colours together, and of the luma."""
    generator = np.random.default_rng(0)
    firsts = [frames[0] for frames in columns]
    measured = [
        repeats.measure(frames, generator, names=names, curved=first.offset_known)
        for frames, first in zip(columns, firsts, strict=True)
    ]
    linear = image.domain != "rendered"
    parts = [(plane, _normalised(one, plane, linear=linear)) for plane, one in zip(firsts, measured, strict=True)]
    planes = [describe(one, plane, name=plane.name, channel=plane.channel) for plane, one in parts]
    if image.domain == "raw-linear" and len(parts) > 1:
        planes.append(pooled_colours(parts))
    elif image.domain == "rendered" and {plane.name for plane in firsts} == set(LUMA):
        frames = [luma(members) for members in zip(*columns, strict=True)]
        measured.append(repeats.measure(frames, generator, names=names, curved=frames[0].offset_known))
        planes.append(describe(_normalised(measured[-1], frames[0], linear=linear), frames[0], name="luma"))
    elif len(planes) == 1:
        planes = [replace(planes[0], name="all", channel=None)]
    rejected = dict.fromkeys(pair for one in measured for pair in one.rejected)
    own = measured[-1]
    measurement = Measurement(
        route="repeats",
        files=tuple(str(file) for file in files),
        frames=own.frames,
        frames_used=_frames_used(own),
        rejected=tuple(rejected),
        quantities=tuple(_brightness_changes(own, firsts[0])),
    )
    told = [warning for one in measured for warning in (*one.warnings, *(_doubts(one) if linear else ()))]
    warnings = dict.fromkeys((*image.warnings, *told))
    return footprint_of(image, planes, measurement, warnings=tuple(warnings))


def _frames_used(measured: Repeats) -> int:
    """Frames that are in at least one pair in use."""
    before, after = (False, *measured.kept), (*measured.kept, False)
    return sum(one or other for one, other in zip(before, after, strict=True))


def _normalised(measured: Repeats, plane: Plane, *, linear: bool) -> PlaneMeasurement:
    """One plane's measurement, normalised. `linear`: its codes count light; processing shares noise in others."""
    span = plane.white_dn - plane.black_dn
    down, right, error = measured.lag1
    impulses = measured.impulses.white + measured.impulses.black
    return PlaneMeasurement(
        law=measured.law.over(span),
        signal=(smooth(measured.mean) - plane.black_dn) / span,
        sums=rescaled(measured.sums, plane.black_dn, span),
        pairs=np.full(measured.sums.shape[1], float(measured.pairs)),
        row=measured.rows.over(span),
        column=measured.columns.over(span),
        lag1=neighbour_correlation((down + right) / 2, error),
        impulse=Detection(impulses, impulses / math.sqrt(max(measured.impulses.count, 1)), repeats.MIN_IMPULSE_SHARE),
        clipped=measured.clipped,
        no_noise=linear and measured.evidence.no_noise is not None,
    )


def _doubts(measured: Repeats) -> list[str]:
    """What speaks against counting electrons by the measured variance of linear frames."""
    evidence = measured.evidence
    if evidence.no_noise is not None:
        return [evidence.no_noise]
    if not evidence.shared:
        return []
    words = (
        f"neighbouring pixels share noise, {evidence.power:.2g} times the variance of a pixel over all of them: "
        "the shot gain is that of a pixel's variance and counts no electrons"
    )
    return [words]


def neighbour_correlation(lag1: float, error: float) -> Detection:
    """The correlation with the next pixel, 0 where it is chance."""
    correlated = lag1 > max(repeats.SIGNIFICANT_SD * error, MIN_CORRELATION)
    return Detection(lag1 if correlated else 0.0, error, max(lag1, 0.0) + repeats.LIMIT_SD * error)


def pooled_colours(parts: Sequence[tuple[Plane, PlaneMeasurement]]) -> PlaneFootprint:
    """The colours of a RAW file as one: each normalised by its own levels, all bins in one line."""
    planes, measured = [plane for plane, _ in parts], [one for _, one in parts]
    blocks = min(len(one.sums) for one in measured)
    sums = np.concatenate([one.sums[:blocks] for one in measured], axis=1)
    pairs = np.concatenate([one.pairs for one in measured])
    curved = all(one.law.square_limit is not None or one.law.square > 0 for one in measured)
    whole = PlaneMeasurement(
        law=fit_law(sums, pairs, np.random.default_rng(0), curved=curved),
        signal=np.concatenate([one.signal.ravel() for one in measured]),
        sums=sums,
        pairs=pairs,
        row=quadratic_mean([one.row for one in measured]),
        column=quadratic_mean([one.column for one in measured]),
        lag1=quadratic_mean([one.lag1 for one in measured]),
        impulse=quadratic_mean([one.impulse for one in measured]),
        multiplicative=quadratic_mean([one.multiplicative for one in measured]),
        clipped=max(one.clipped for one in measured),
        no_noise=any(one.no_noise for one in measured),
    )
    same = len({(plane.black_dn, plane.white_dn) for plane in planes}) == 1
    return describe(whole, planes[0], name="all", same_scale=same)


def luma(members: Sequence[Plane]) -> Plane:
    """The luma of one frame's colours as a plane; its lattice is that of the weights, no quantisation."""

    def load() -> Floats:
        return np.asarray(sum(LUMA[plane.name] * complete(plane).astype(np.float64) for plane in members))

    return replace(members[0], name="luma", load=load, step_dn=None)


def _brightness_changes(measured: Repeats, plane: Plane) -> list[Quantity]:
    """What the frames do beside their noise: bleaching over all of them, and flicker."""
    light = measured.brightness - plane.black_dn
    if not (plane.offset_known and light.mean() > 0):
        return []
    if len(light) < repeats.MIN_TREND_FRAMES:
        return [Quantity(100 * float(light[-1] / light[0] - 1), symbol="brightness_change", unit="%")]
    trend = repeats.brightness_trend(light)
    over = 100 * (len(light) - 1) / float(light.mean())
    low, high = (over * (trend.slope + sign * SD_90 * trend.error) for sign in (-1, 1))
    return [
        Quantity(over * trend.slope, low, high, symbol="brightness_change", unit="%"),
        Quantity(100 * trend.flicker / float(light.mean()), symbol="flicker", unit="%"),
    ]
