"""`noisediag profile`: the noise profile of a camera, S and O per ISO and colour, pooled over its files.

The variance of the noise at signal x is S*x + O, in the normalisation of DNG 1.4, tag 51041 (NoiseProfile):
x = (DN - black) / (white - black). O includes the quantisation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UnsupportedError, UsageError
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.footprint.plane import WEAK_RATIO, PlaneFootprint
from noisediag.footprint.values import SD_90, Bounded, Known, of_draws
from noisediag.labels.variance_law import fit_lines

Floats = NDArray[np.float64]

DRAWS = 200  # of the interval
DOUBTS = {  # flags of files whose noise is none of the camera's, in words
    "smoothed": "its pixels were filtered: no electrons can be counted",
    "misfit": "its noise does not follow the law of a sensor",
    "uneven": "its noise differs between parts of the picture",
    "black_doubtful": "its noise contradicts the black level that it states",
}
NO_GAIN = "no file shows how the noise grows with the light"
LEAST_SD = 1e-3  # of ln variance: no point of a noise curve is known better than that


@dataclass(frozen=True)
class PooledValue(Known):
    """A pooled value and its 90 % interval, normalised. `flag`: weakly_identified, interpolated or None."""

    low: float = field()  # known, unlike those of `Known`
    high: float = field()
    flag: str | None = None


@dataclass(frozen=True)
class Colour:
    """The pair of one colour: `S` in 1/e-, `O` the variance without light, both normalised."""

    name: str
    S: PooledValue
    O: PooledValue  # noqa: E741 - the DNG specification's name


@dataclass(frozen=True)
class Entry:
    """One camera at one ISO, from `files` (none: interpolated), its colours in the order of NoiseProfile's pairs."""

    make: str
    model: str
    iso: float
    files: tuple[str, ...]
    colours: tuple[Colour, ...]

    @property
    def camera(self) -> str:
        """Make and model, the make not said twice."""
        return self.model if self.model.lower().startswith(self.make.lower()) else f"{self.make} {self.model}"


@dataclass(frozen=True)
class Profile:
    """The entries, by camera and ISO, and what is doubtful about them."""

    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]
    checkpoint: CheckpointId | None


def suitable(footprint: Footprint) -> Footprint:
    """`footprint` if it can enter a profile.

    Raises UnsupportedError for rendered pictures, pictures without noise, or with noise that is not the camera's, an
    unknown black or white level, and files that do not say camera and ISO.
    """
    if footprint.domain == "rendered":
        raise UnsupportedError("a rendered picture has no noise profile of its sensor")
    if not shows_noise(footprint.planes[-1:]):
        raise UnsupportedError("shows no pixel noise")
    if not (footprint.planes[-1].offset_known and footprint.planes[-1].white_known):
        raise UnsupportedError("the black or white level is unknown")
    doubts = [words for flag, words in DOUBTS.items() if flag in footprint.planes[-1].flags or flag in footprint.flags]
    if doubts:
        raise UnsupportedError("; ".join(doubts))
    missing = [tag for tag in ("Make", "Model", "ISO") if not footprint.acquisition.get(tag)]
    if missing:
        raise UnsupportedError(f"does not say {' and '.join(missing)}")
    return footprint


def pool(footprints: Sequence[Footprint], *, isos: Sequence[float] = (), seed: int = 0) -> Profile:
    """The profile of `suitable` footprints: files of one camera and ISO together, colour by colour.

    `isos` adds interpolated settings. `seed`: of the intervals' draws. Raises UsageError for a setting outside of those
    measured, or where there is nothing to pool.

    A colour that shows its shot gain in no file has no line: where only noise without light is seen, S is not known.
    """
    if not footprints:
        raise UsageError("no file to make a profile of")
    groups: dict[tuple[str, str, float], list[Footprint]] = {}
    for footprint in footprints:
        tags = footprint.acquisition
        groups.setdefault((str(tags["Make"]), str(tags["Model"]), float(tags["ISO"])), []).append(footprint)
    generator = np.random.default_rng(seed)
    entries = [
        Entry(*key, files=tuple(str(one.path) for one in members), colours=tuple(_colours(members, generator)))
        for key, members in sorted(groups.items())
    ]
    dark = [entry for entry in entries if not entry.colours]
    entries = [entry for entry in entries if entry.colours]
    warnings = [f"{entry.camera} ISO {entry.iso:g}: left out, {NO_GAIN}" for entry in dark]
    if not entries:
        raise UsageError(f"nothing to make a profile of: {NO_GAIN}")
    cameras = by_camera(entries)
    warnings += [warning for members in cameras.values() for warning in _doubts(members)]
    wanted = [interpolate(members, iso) for members in cameras.values() for iso in isos]
    entries += [entry for entry in wanted if not entry.files]
    entries.sort(key=lambda entry: (entry.make, entry.model, entry.iso))
    return Profile(tuple(entries), tuple(warnings), footprints[0].checkpoint)


def by_camera(entries: Sequence[Entry]) -> Mapping[tuple[str, str], list[Entry]]:
    """The entries of every camera, in their order."""
    cameras: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        cameras.setdefault((entry.make, entry.model), []).append(entry)
    return cameras


def interpolate(entries: Sequence[Entry], iso: float) -> Entry:
    """The entry of one camera at `iso`: the measured one, or one between its neighbours, linear in the logarithms.

    Raises UsageError outside of the measured settings: electronics change beyond them.
    """
    ordered = sorted(entries, key=lambda entry: entry.iso)
    for entry in ordered:
        if entry.iso == iso:
            return entry
    if not ordered[0].iso < iso < ordered[-1].iso:
        raise UsageError(
            f"--iso {iso:g}: {ordered[0].camera} was measured from {ordered[0].iso:g} to {ordered[-1].iso:g}"
        )
    above = next(place for place, entry in enumerate(ordered) if entry.iso > iso)
    first, second = ordered[above - 1], ordered[above]
    share = math.log(iso / first.iso) / math.log(second.iso / first.iso)
    others = {colour.name: colour for colour in second.colours}
    colours = tuple(
        Colour(one.name, _between(one.S, others[one.name].S, share), _between(one.O, others[one.name].O, share))
        for one in first.colours
        if one.name in others
    )
    return Entry(first.make, first.model, iso, (), colours)


def _colours(footprints: Sequence[Footprint], generator: np.random.Generator) -> list[Colour]:
    names = footprints[0].cfa_plane_colors or ("all",)
    found = []
    for name in names:
        planes = [planes_of(footprint, name) for footprint in footprints]
        planes = [members for members in planes if shows_noise(members)]
        if any(plane["shot_gain"].value is not None for members in planes for plane in members):
            found.append(Colour(name, *_pooled(planes, generator)))
    return found


def shows_noise(planes: Sequence[PlaneFootprint]) -> bool:
    """Whether there are points of a noise curve for a line."""
    return len(_points(planes)[0]) > 1


def planes_of(footprint: Footprint, colour: str) -> list[PlaneFootprint]:
    """The planes of a colour, as G1 and G2 of G; the file's own plane for `all`."""
    if colour == "all":
        return [footprint.planes[-1]]
    return [plane for plane in footprint.planes[:-1] if plane.name.rstrip("0123456789") == colour]


def line(
    files: Sequence[Sequence[PlaneFootprint]], generator: np.random.Generator, *, free: bool = False
) -> tuple[tuple[float, float], tuple[Floats, Floats]]:
    """S and O from the noise curves of the planes of each file, and `DRAWS` draws of both.

    In the draws files are resampled, and each file's curve is moved and tilted, its planes together because they show
    one picture. A single file moves within its whole band; the more there are, the more of it shows in their scatter,
    and the less they are moved. `free`: as in `fit_lines`.
    """
    points = [_points(planes) for planes in files]
    signal, log_variance, sd = (np.concatenate(parts) for parts in zip(*points, strict=True))
    owner = np.repeat(np.arange(len(files)), [len(own[0]) for own in points])
    picked = generator.integers(len(files), size=(DRAWS, len(files)))
    counts = np.stack([(picked == number).sum(axis=1) for number in range(len(files))], axis=1)[:, owner]
    height = 2 * _rank(signal) - 1  # from -1 at the darkest point to 1 at the brightest: orthogonal shift and tilt
    shift, tilt = generator.standard_normal((2, DRAWS, len(files))) / math.sqrt(len(files))
    moved = log_variance + sd * (shift[:, owner] + math.sqrt(3) * height * tilt[:, owner]) / math.sqrt(2)
    with np.errstate(divide="ignore"):
        spread = np.where(counts > 0, sd / np.sqrt(counts), 1e6)
    slope, offset = fit_lines(signal[None], log_variance[None], sd[None], free=free)
    return (float(slope[0]), float(offset[0])), fit_lines(signal, moved, spread, free=free)


def gain_of(plane: PlaneFootprint) -> Bounded:
    """The conversion gain, e-/DN, from the slope of the line through its noise curve."""
    if plane.black_dn is None or plane.white_dn is None or not shows_noise([plane]):
        return Bounded(None)
    (slope, _), (slopes, _) = line([[plane]], np.random.default_rng(0), free=not plane.offset_known)
    shot = Bounded(*of_draws(slope, slopes))
    if plane["shot_gain"].value is None or not shot.low or not shot.high or not slope > 0:
        return Bounded(None)
    span = plane.white_dn - plane.black_dn
    return Bounded(1 / (slope * span), 1 / (shot.high * span), 1 / (shot.low * span))


def _pooled(
    files: Sequence[Sequence[PlaneFootprint]], generator: np.random.Generator
) -> tuple[PooledValue, PooledValue]:
    (slope, offset), (slopes, offsets) = line(files, generator)
    return _value(slope, slopes), _value(offset, offsets)


def _points(planes: Sequence[PlaneFootprint]) -> tuple[Floats, Floats, Floats]:
    """Signals, ln variance and its standard deviation, from the noise curves and their 90 % bands."""
    points = [point for plane in planes for point in plane.curve if point.sigma > 0 and point.low > 0]
    if not points:
        return np.empty(0), np.empty(0), np.empty(0)
    signal, sigma, low, high = np.array([(p.signal, p.sigma, p.low, p.high) for p in points]).T
    return signal, 2 * np.log(sigma), np.maximum(2 * np.log(high / low) / (2 * SD_90), LEAST_SD)


def _rank(signal: Floats) -> Floats:
    """From 0 for the darkest point to 1. Not `scipy.stats.rankdata`, whose order of equal signals is another one."""
    return np.argsort(np.argsort(signal)) / max(len(signal) - 1, 1)


def _value(value: float, draws: Floats) -> PooledValue:
    value, low, high = of_draws(value, draws)
    return PooledValue(value, low, high, "weakly_identified" if high > WEAK_RATIO * low else None)


def _between(first: PooledValue, second: PooledValue, share: float) -> PooledValue:
    def mean(a: float, b: float) -> float:
        return (
            math.exp((1 - share) * math.log(a) + share * math.log(b))
            if a > 0 and b > 0
            else (1 - share) * a + share * b
        )

    return PooledValue(
        mean(first.value, second.value), mean(first.low, second.low), mean(first.high, second.high), "interpolated"
    )


def _doubts(entries: Sequence[Entry]) -> list[str]:
    """Where S does not rise with the ISO setting: within a camera more gain is fewer electrons at white."""
    warnings = []
    for first, second in itertools.pairwise(entries):
        others = {colour.name: colour for colour in second.colours}
        fallen = [one.name for one in first.colours if one.name in others and others[one.name].S.value <= one.S.value]
        if fallen:
            warnings.append(
                f"{first.camera}: S of {', '.join(fallen)} does not rise from ISO {first.iso:g} to {second.iso:g}"
            )
    return warnings
