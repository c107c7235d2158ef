"""`noisediag advise`: the next acquisition, from this one."""

from __future__ import annotations

import math
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.common import (
    INPUT_PANEL,
    NONE_READABLE,
    SOME_FAILED,
    Black,
    Channel,
    Checkpoint,
    Device,
    Force,
    Gain,
    Json,
    Offset,
    OnDevice,
    Output,
    Plot,
    Roi,
    White,
    agreed,
    area,
    check_numbers,
    check_output,
    check_plot,
    errors_in_words,
    panel,
    write_file,
)
from noisediag.cli.gather import measured, print_or_write
from noisediag.errors import UsageError


class Detector(str, Enum):
    """Kinds of detectors."""

    pmt = "pmt"
    hpd = "hpd"
    emccd = "emccd"
    scmos = "scmos"
    ccd = "ccd"


class AtLevel(str, Enum):
    """Parts of the picture."""

    background = "background"
    median = "median"
    peak = "peak"


class Mode(str, Enum):
    """What is looked at."""

    microscope = "microscope"
    sky = "sky"


_target, _detector = panel("What is wanted"), panel("Detector and series")
ExcessNoise = Annotated[
    float | None,
    _detector(help="F, the factor on the shot variance: 2 for an EMCCD at high gain, 1 without multiplication."),
]
Power = Annotated[str | None, _detector(metavar="P,...", help="Power of each STACK, any unit.")]
Dwell = Annotated[str | None, _detector(metavar="T,...", help="Dwell of each STACK, any unit.")]
ReadNoise = Annotated[float | None, typer.Option(help="Read noise where it is known, e-.", rich_help_panel=INPUT_PANEL)]


def advise(
    files: Annotated[list[Path], typer.Argument(metavar="STACK", help="Repeats of one scene, or a single picture.")],
    target_snr: Annotated[float | None, _target(help="SNR to reach, not in dB.")] = None,
    level: Annotated[AtLevel, _target(help="Where: 5th, 50th or 99.5th percentile.")] = AtLevel.peak,
    max_dose: Annotated[float | None, _target(help="Light that the sample bears, in frames of now.")] = None,
    mode: Annotated[Mode, _target(help="sky: shortest sub-exposures of the night sky.")] = Mode.microscope,
    detector: Annotated[Detector | None, _detector(help="Kind of detector.")] = None,
    excess_noise: ExcessNoise = None,
    power: Power = None,
    dwell: Dwell = None,
    exposure: Annotated[float | None, _detector(help="Exposure time in s, for the sky.")] = None,
    read_noise: ReadNoise = None,
    black: Black = None,
    white: White = None,
    offset: Offset = None,
    gain: Gain = None,
    channel: Channel = None,
    roi: Roi = None,
    json: Json = False,
    output: Output = None,
    plot: Plot = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Print what each STACK says of the next acquisition: photons, SNR, frames, dwell or power for a target.

    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged.
    """
    with errors_in_words():
        black_dn = agreed("--black", black, "--offset", offset)
        check_numbers(black_dn, white, gain)
        _check_positive(
            {"--target-snr": target_snr, "--max-dose": max_dose, "--exposure": exposure, "--read-noise": read_noise}
        )
        if excess_noise is not None and not (math.isfinite(excess_noise) and excess_noise >= 1):
            raise UsageError("--excess-noise is 1 or more")
        powers, dwells = _series("--power", power, len(files)), _series("--dwell", dwell, len(files))
        check_output("--output", output, (".json",), inputs=files, force=force, stdout=True)
        check_plot("--plot", plot, inputs=files, force=force)

        from noisediag.estimator import Estimator
        from noisediag.studies.advise import protocol, report
        from noisediag.studies.advise.advice import advise as advise_on
        from noisediag.studies.advise.result import AdviseOptions

        options = AdviseOptions(
            black=black_dn,
            white=white,
            channel=channel,
            roi=None if roi is None else area(roi),
            gain=gain,
            read_noise_e=read_noise,
            detector=None if detector is None else detector.value,
            excess_noise=excess_noise,
            level=level.value,
            target_snr=target_snr,
            max_dose=max_dose,
            sky=mode is Mode.sky,
            exposure_s=exposure,
        )
        estimator = Estimator(checkpoint, device.value)
        advices, failed = measured(files, lambda path: advise_on(path, options, estimator))
        if not advices:
            raise typer.Exit(NONE_READABLE)
        exponents = None
        if (powers or dwells) and not failed:
            exponents = protocol.exponents(advices, powers, dwells)
        print_or_write(report, advices, exponents, json=json, output=output, force=force)
        write_file(plot, lambda part: report.plot(advices, part), force=force)
        if failed:
            raise typer.Exit(SOME_FAILED)


def _check_positive(given: dict[str, float | None]) -> None:
    for option, value in given.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UsageError(f"{option} must be a number above 0")


def _series(option: str, text: str | None, files: int) -> tuple[float, ...]:
    """One number a file."""
    if text is None:
        return ()
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text}: numbers are needed, as in 1,2,4") from None
    if len(values) != files or files < 2:
        raise UsageError(f"{option} {text}: one number for each of several STACKs")
    _check_positive(dict.fromkeys((option,), min(values)))
    return values
