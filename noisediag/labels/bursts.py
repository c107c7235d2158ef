"""Repeats as people have them: a stack, or a folder of files, measured channel by channel."""

from __future__ import annotations

import itertools
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
from noisediag.footprint.plane import PlaneFootprint, Quantity
from noisediag.images.image import LUMA, Image, Plane
from noisediag.labels import repeats
from noisediag.labels.footprints import SD_90, Found, Spread, describe, footprint_of
from noisediag.labels.line import Law, law, rescaled
from noisediag.labels.repeats import Offsets, Repeats
from noisediag.labels.screening import smooth

Floats = NDArray[np.float64]

HELD = 1 << 28  # values of all frames kept in memory; more are read again where they are needed
CORRELATED = 0.02  # with the next pixel; a kernel of 0.33 px


@dataclass(frozen=True)
class Reading:
    """How files are read: levels in DN, and the part of them that is looked at."""

    black: float | None = None
    white: float | None = None
    channel: str | None = None
    roi: tuple[int, int, int, int] | None = None

    def read(self, path: Path) -> Image:
        """Raises the errors of `images.read`."""
        return images.read(path, black=self.black, white=self.white, channel=self.channel, roi=self.roi)


def from_files(path: Path, files: Sequence[Path], reading: Reading) -> Footprint:
    """The footprint of repeats, one a file, in their order; `path`: of their folder.

    A file that cannot be read, or is no picture of the same kind, raises an InputError that names it.
    """
    image, columns = read_burst(path, files, reading)
    return _measured(image, columns, [file.name for file in files[: len(columns[0])]], files)


def read_burst(path: Path, files: Sequence[Path], reading: Reading) -> tuple[Image, list[list[Plane]]]:
    """The first of `files` under the name `path`, and the frames of each of its planes. Raises as `from_files`."""
    if len(files) < 2:
        raise UnsupportedError("repeats are two frames or more")
    first = reading.read(files[0])
    many = sum(math.prod(plane.shape) for plane in first.planes) * len(files) > HELD
    frames = []
    for file in files[: repeats.MAX_FRAMES]:
        image = reading.read(file)
        if image.frames > 1:
            raise UnsupportedError(f"{file.name} is a stack: give it by itself, or a folder of stacks")
        kind = [(plane.name, plane.channel) for plane in image.planes]
        if kind != [(plane.name, plane.channel) for plane in first.planes] or image.domain != first.domain:
            raise UnsupportedError(f"{file.name} and {files[0].name} are no pictures of one kind")
        again = [replace(p, load=partial(_again, file, reading, place)) for place, p in enumerate(image.planes)]
        frames.append(again if many else list(image.planes))
    image = replace(first, path=str(path), sha256=None, frames=len(files))
    return image, [list(column) for column in zip(*frames, strict=True)]


def from_stack(image: Image) -> Footprint:
    """The footprint of a stack's frames as repeats. Raises UnsupportedError where it is none, or shows no one scene."""
    if image.frames < 2:
        raise UnsupportedError("is a single picture: repeats are a stack, or a folder of files")
    files = [] if image.path is None else [Path(image.path)]
    return _measured(image, columns_of(image), (), files)


def with_repeats(estimate: Footprint, image: Image) -> Footprint:
    """`estimate` of a stack with its frames' own measurement beside it, or a warning why they give none."""
    try:
        return replace(estimate, measured=from_stack(image))
    except UnsupportedError as error:
        reason = str(error).removeprefix(f"{image.path}: ")
        return replace(estimate, warnings=(*estimate.warnings, f"nothing measured beside the estimate: {reason}"))


def columns_of(image: Image) -> list[list[Plane]]:
    """The frames of each plane, or channel, of a file."""
    columns: dict[tuple[str, str | None], list[Plane]] = {}
    for plane in image.planes:
        columns.setdefault((plane.name, plane.channel), []).append(plane)
    return list(columns.values())


def _again(path: Path, reading: Reading, place: int) -> NDArray[np.generic]:
    return reading.read(path).planes[place].load()


def _measured(
    image: Image, columns: Sequence[Sequence[Plane]], names: Sequence[str], files: Sequence[Path]
) -> Footprint:
    """One footprint a column, a channel's or colour's frames; of all colours together, and of the luma."""
    generator = np.random.default_rng(0)
    found: list[tuple[Plane, Repeats]] = []
    for frames in columns:
        curved = frames[0].offset_known
        found.append((frames[0], repeats.measure(frames, generator, names=names, curved=curved)))
    planes = [describe(_found(seen, plane), plane, name=plane.name, channel=plane.channel) for plane, seen in found]
    first = found[0][0]
    shown = [seen for _, seen in found]
    if image.domain == "raw-linear" and len(found) > 1:
        planes.append(together([(plane, _found(seen, plane)) for plane, seen in found]))
    elif image.domain == "rendered" and {plane.name for plane, _ in found} == set(LUMA):
        frames = [luma(members) for members in zip(*columns, strict=True)]
        shown.append(repeats.measure(frames, generator, names=names, curved=frames[0].offset_known))
        planes.append(describe(_found(shown[-1], frames[0]), frames[0], name="luma"))
    elif len(planes) == 1:
        planes = [replace(planes[0], name="all", channel=None)]
    rejected = dict.fromkeys(one for seen in shown for one in seen.rejected)
    measurement = Measurement(
        route="repeats",
        files=tuple(str(file) for file in files),
        frames=shown[-1].frames,
        frames_used=_frames_used(shown[-1], names),
        rejected=tuple(rejected),
        quantities=tuple(_changes(shown[-1], first)),
    )
    warnings = dict.fromkeys((*image.warnings, *(warning for seen in shown for warning in seen.warnings)))
    return footprint_of(image, planes, measurement, warnings=tuple(warnings))


def _frames_used(seen: Repeats, names: Sequence[str]) -> int:
    """Frames that are in at least one pair in use."""
    named = list(names) or [f"frame {number}" for number in range(seen.frames)]
    refused = {one.what for one in seen.rejected}
    kept = [f"{a} and {b}" not in refused for a, b in itertools.pairwise(named)]
    return sum(before or after for before, after in zip([False, *kept], [*kept, False], strict=True))


def _found(seen: Repeats, plane: Plane) -> Found:
    """One plane's measurement, normalised."""
    span = plane.white_dn - plane.black_dn
    down, right, error = seen.lag1
    impulses = seen.impulses.white + seen.impulses.black
    return Found(
        law=scaled(seen.law, span),
        signal=(smooth(seen.mean) - plane.black_dn) / span,
        sums=rescaled(seen.sums, plane.black_dn, span),
        pairs=np.full(seen.sums.shape[1], float(seen.pairs)),
        row=offsets_of(seen.rows, span),
        column=offsets_of(seen.columns, span),
        lag1=lag_spread((down + right) / 2, error),
        impulse=Spread(impulses, impulses / math.sqrt(max(seen.impulses.count, 1)), repeats.LEAST_IMPULSES),
        clipped=seen.clipped,
    )


def scaled(one: Law, span: float) -> Law:
    """A law in DN above black as one of the signal normalised to `span`, white - black."""
    slopes, intercepts = one.slopes / span, one.intercepts / span**2
    return replace(one, slope=one.slope / span, intercept=one.intercept / span**2, slopes=slopes, intercepts=intercepts)


def lag_spread(lag1: float, error: float) -> Spread:
    """The correlation with the next pixel, 0 where it is chance."""
    correlated = lag1 > max(repeats.FOUND * error, CORRELATED)
    return Spread(lag1 if correlated else 0.0, error, max(lag1, 0.0) + 2 * error)


def offsets_of(offsets: Offsets, span: float) -> Spread:
    """Normalised to `span`, white - black."""
    return Spread(offsets.sigma / span, offsets.error / span, offsets.limit / span)


def together(parts: Sequence[tuple[Plane, Found]]) -> PlaneFootprint:
    """The colours of a RAW file as one: each normalised by its own levels, all bins in one line."""
    planes, found = [plane for plane, _ in parts], [one for _, one in parts]
    blocks = min(len(one.sums) for one in found)
    sums = np.concatenate([one.sums[:blocks] for one in found], axis=1)
    pairs = np.concatenate([one.pairs for one in found])
    curved = all(one.law.square_limit is not None or one.law.square > 0 for one in found)
    whole = Found(
        law=law(sums, pairs, np.random.default_rng(0), curved=curved),
        signal=np.concatenate([one.signal.ravel() for one in found]),
        sums=sums,
        pairs=pairs,
        row=_mean([one.row for one in found]),
        column=_mean([one.column for one in found]),
        lag1=_mean([one.lag1 for one in found]),
        impulse=_mean([one.impulse for one in found]),
        multiplicative=_mean([one.multiplicative for one in found]),
        clipped=max(one.clipped for one in found),
    )
    same = len({(plane.black_dn, plane.white_dn) for plane in planes}) == 1
    return describe(whole, planes[0], name="all", same_scale=same)


def _mean(spreads: Sequence[Spread | None]) -> Spread | None:
    """Of colours: their quadratic mean where all show it."""
    known = [spread for spread in spreads if spread is not None]
    if len(known) < len(spreads):
        return None
    if not all(spread.amount > 0 for spread in known):
        return Spread(0.0, 0.0, max(max(spread.amount, spread.limit) for spread in known))
    amount = math.sqrt(sum(spread.amount**2 for spread in known) / len(known))
    error = math.sqrt(sum(spread.error**2 for spread in known)) / len(known)
    return Spread(amount, error, max(spread.limit for spread in known))


def luma(members: Sequence[Plane]) -> Plane:
    """The luma of one frame's colours as a plane; its lattice is that of the weights, no quantisation."""

    def load() -> Floats:
        return np.asarray(sum(LUMA[plane.name] * plane.load().astype(np.float64) for plane in members))

    return replace(members[0], name="luma", load=load, step_dn=None)


def _changes(seen: Repeats, plane: Plane) -> list[Quantity]:
    """What the frames do beside their noise: bleaching over all of them, and flicker."""
    light = seen.brightness - plane.black_dn
    if not (plane.offset_known and light.mean() > 0):
        return []
    if len(light) < 4:
        return [Quantity("brightness_change", "%", 100 * float(light[-1] / light[0] - 1))]
    time = np.arange(len(light)) - (len(light) - 1) / 2
    slope = float((time @ light) / (time @ time))
    rest = light - light.mean() - slope * time
    flicker = float(np.sqrt((rest @ rest) / (len(light) - 2)))
    error = flicker / math.sqrt(float(time @ time))
    over = 100 * (len(light) - 1) / float(light.mean())
    low, high = (over * (slope + sign * SD_90 * error) for sign in (-1, 1))
    return [
        Quantity("brightness_change", "%", over * slope, low, high),
        Quantity("flicker", "%", 100 * flicker / float(light.mean())),
    ]
