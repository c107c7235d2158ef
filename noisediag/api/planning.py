"""`advise`, `profile` and `check`: what follows from footprints for the next picture, the camera and its files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

from noisediag.api.estimating import DEVICES, Job, estimator_of, several
from noisediag.api.signatures import check_choice, check_number, public
from noisediag.api.sources import Reading, Source, image_of, named, reading_of
from noisediag.errors import InputError, UsageError, WrongTypeError, one_line
from noisediag.footprint.file import Footprint
from noisediag.studies.advise.advice import advise_on
from noisediag.studies.advise.result import Advice, AdviseOptions
from noisediag.studies.advise.stack import LEVELS
from noisediag.studies.camera import check as checking
from noisediag.studies.camera import profile as profiling
from noisediag.studies.camera.check import CheckResult
from noisediag.studies.camera.datasheet import DataSheet
from noisediag.studies.camera.profile import Profile

DETECTORS = ("pmt", "hpd", "emccd", "scmos", "ccd")


@public
def advise(
    source: Source,
    *,
    target_snr: float | None = None,
    level: Literal["background", "median", "peak"] = "peak",
    max_dose: float | None = None,
    sky: bool = False,
    detector: Literal["pmt", "hpd", "emccd", "scmos", "ccd"] | None = None,
    excess_noise: float | None = None,
    exposure: float | None = None,
    read_noise: float | None = None,
    black: float | None = None,
    white: float | None = None,
    gain: float | None = None,
    channel: str | int | None = None,
    roi: tuple[int, int, int, int] | None = None,
    axes: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Advice:
    """Say what a stack, or one picture, tells of the next acquisition: photons, SNR, frames, dwell or power.

    Args:
        source: as `estimate` takes it: repeats of one scene, or a single picture.
        target_snr: SNR to reach, a ratio and no dB, at `level`: the 5th, 50th or 99.5th percentile of the picture.
        max_dose: light that the sample bears, in frames of now.
        sky: the shortest sub-exposures of the night sky are wanted; exposure: of this picture, s.
        detector, excess_noise: its kind, or F, the factor on the shot variance.
        read_noise: e-, gain: e-/DN, where they are known.
        black, white, channel, roi, axes, checkpoint, device: see `estimate`.

    Returns:
        `Advice`: `gain`, `levels` (photons and SNR), `averages`, `routes` to the target, `warnings`. A gain that the
        picture does not show is None, and no photons follow then.

    Raises:
        As `estimate`; UnsupportedError for rendered pictures, and for pictures that show no noise.
    """
    reading = reading_of(black=black, white=white, axes=axes, channel=channel, roi=roi)
    check_choice("level", level, tuple(LEVELS))
    check_choice("detector", detector, DETECTORS)
    check_choice("device", device, DEVICES)
    for name, value in (
        ("target_snr", target_snr),
        ("max_dose", max_dose),
        ("exposure", exposure),
        ("read_noise", read_noise),
        ("gain", gain),
        ("excess_noise", excess_noise),
    ):
        check_number(name, value, positive=True)
    if excess_noise is not None and excess_noise < 1:
        raise UsageError(f"excess_noise is 1 or more, not {excess_noise!r}")
    options = AdviseOptions(
        black=reading.selection.black,
        white=reading.selection.white,
        channel=None if channel is None else str(channel),
        roi=reading.selection.roi,
        gain=gain,
        read_noise_e=read_noise,
        detector=detector,
        excess_noise=excess_noise,
        level=level,
        target_snr=target_snr,
        max_dose=max_dose,
        sky=bool(sky),
        exposure_s=exposure,
    )
    image = image_of(source, reading)
    return advise_on(image, image.path or "array", options, estimator_of(checkpoint, device))


@public
def profile(
    sources: Iterable[Source | Footprint],
    *,
    isos: Sequence[float] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Profile:
    """Make the noise profile of a camera: S and O of DNG's NoiseProfile, per ISO and colour.

    Args:
        sources: RAW files of one or several cameras and ISOs, or their footprints.
        isos: settings to interpolate, within those measured.
        checkpoint, device: see `estimate`.

    Returns:
        `Profile`: `entries` by camera and ISO, with the values of each colour and their 90 % intervals.

    Raises:
        UsageError: where nothing is left to make a profile of. A file that cannot enter it is left out with a Python
            warning that says why. TypeError and CheckpointError as `estimate`.
    """
    for iso in _numbers("isos", isos):
        check_number("isos", iso, positive=True)
    found = _footprints(sources, checkpoint, device, suitable=profiling.suitable)
    return profiling.pool(found, isos=tuple(float(iso) for iso in isos))


@public
def check(
    sources: Iterable[Source | Footprint],
    *,
    metadata: bool = True,
    datasheet: Mapping[str, float] | str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> CheckResult:
    """Compare the noise that files, or a data sheet, state with the noise that their pixels show.

    Args:
        sources: DNG, FITS or OME-TIFF files, or footprints.
        metadata: compare with what each file says of itself.
        datasheet: compare with a data sheet: gain (DN/e-), full_well (e-), read_noise (e-), dark (e-/s) at temperature
            (degrees C), as a mapping or a text `gain=0.5,read_noise=3`.
        checkpoint, device: see `estimate`.

    Returns:
        `CheckResult`: `rows` with stated and estimated values, their ratio with its 90 % interval and a verdict,
        `silent` files with nothing to compare, and `notes`.

    Raises:
        UsageError: where nothing is left to compare, or for a sheet that says too little. A file that cannot be read is
            left out with a Python warning that says why. TypeError and CheckpointError as `estimate`.
    """
    if isinstance(datasheet, Mapping):
        known = [entry.name for entry in fields(DataSheet)]
        for name in datasheet:
            check_choice("name in datasheet", name, tuple(known))
        datasheet = ",".join(f"{name}={value!r}" for name, value in datasheet.items())
    elif datasheet is not None and not isinstance(datasheet, str):
        raise WrongTypeError(f"datasheet is a mapping or a text, not {datasheet!r:.60}")
    sheet = None if datasheet is None else DataSheet.parse(datasheet)
    if not metadata and sheet is None:
        raise UsageError("say what to check against: metadata=True, or datasheet={'gain': ...}")
    return checking.run(_footprints(sources, checkpoint, device), metadata=bool(metadata), sheet=sheet)


def _footprints(
    sources: Iterable[Source | Footprint],
    checkpoint: str | os.PathLike[str] | None,
    device: str,
    suitable: Callable[[Footprint], Footprint] = lambda footprint: footprint,
) -> list[Footprint]:
    """Those of `sources` that can be estimated and are `suitable`; of the others a warning says why not."""
    check_choice("device", device, DEVICES)
    job: Job | None = None
    found: list[Footprint] = []

    def footprint_of(source: Source | Footprint) -> Footprint:
        nonlocal job
        if isinstance(source, Footprint):
            return source
        job = job or Job(Reading(), None, estimator_of(checkpoint, device))
        return job.footprint(source)

    for place, source in enumerate(several(sources)):
        name = (source.path or f"item {place}") if isinstance(source, Footprint) else named(source, place)
        try:
            found.append(suitable(footprint_of(source)))
        except InputError as error:
            reason = one_line(str(error)).removeprefix(f"{name}: ")
            warnings.warn(f"left out: {name}: {reason}", stacklevel=4)
    if not found:
        raise UsageError("no picture is left to make it of")
    return found


def _numbers(name: str, values: Any) -> Sequence[float]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise WrongTypeError(f"{name} is a list of numbers, not {values!r:.60}")
    return list(values)
