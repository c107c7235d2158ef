"""`noisediag estimate`: the footprint of each file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.common import (
    NONE_READABLE,
    OUTPUT_PANEL,
    REPORT_SUFFIXES,
    SOME_FAILED,
    Black,
    Channel,
    Checkpoint,
    Csv,
    Dataset,
    DepthIndex,
    Device,
    Force,
    Frame,
    Gain,
    Json,
    Linear,
    Offset,
    OnDevice,
    Output,
    Roi,
    Series,
    White,
    agreed,
    area,
    check_numbers,
    check_output,
    check_plot,
    complain,
    errors_in_words,
    panel,
    print_80,
    write_file,
)
from noisediag.cli.gather import dumped
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.footprint.file import CheckpointId, Footprint
    from noisediag.reports import Outcome

MAP_SUFFIXES = (".tif", ".tiff", ".npy")


class Scale(str, Enum):
    """What white - black is for a denoiser."""

    one = "1"
    byte = "255"
    word = "65535"


class Handover(str, Enum):
    """Who takes the noise."""

    bm3d = "bm3d"
    fastdvdnet = "fastdvdnet"
    av1 = "av1"


_output = panel(OUTPUT_PANEL)
Curve = Annotated[Path | None, _output(metavar="FILE.png|.svg|.pdf", help="Plot the noise curve of the one FILE.")]
SigmaMap = Annotated[
    Path | None,
    _output("--map", metavar="FILE.tif|.npy", help="Sigma of every pixel of the one FILE, in DN or --scale."),
]
QuietValue = Annotated[bool, _output("--quiet-value", help="Only the sigma, one number a file.")]
QuietScale = Annotated[Scale | None, _output(help="Of --quiet-value and --map: what white - black counts.")]
Format = Annotated[Handover | None, _output("--format", help="Only the option that this program takes.")]


def _list_formats(wanted: bool) -> None:
    if wanted:
        from noisediag.reports import formats

        print_80(formats.render())
        raise typer.Exit


def estimate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="RAW, TIFF, PNG, JPEG, FITS, ...: see --list-formats.")
    ],
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    curve: Curve = None,
    sigma_map: SigmaMap = None,
    quiet_value: QuietValue = False,
    scale: QuietScale = None,
    handover: Format = None,
    force: Force = False,
    black: Black = None,
    white: White = None,
    offset: Offset = None,
    gain: Gain = None,
    channel: Channel = None,
    frame: Frame = None,
    roi: Roi = None,
    series: Series = None,
    z: DepthIndex = None,
    dataset: Dataset = None,
    linear: Linear = False,
    list_formats: Annotated[
        bool,
        typer.Option(
            "--list-formats", help="Print what is read of which format.", callback=_list_formats, is_eager=True
        ),
    ] = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
    timeout: Annotated[float, typer.Option(help="Seconds that a file may take.")] = 300,
) -> None:
    """Print the noise footprint of each FILE.

    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged.
    """
    with errors_in_words():
        _check_style(json=json, csv=csv, quiet_value=quiet_value, handover=handover)
        if scale is not None and not (quiet_value or sigma_map):
            raise UsageError("--scale is that of --quiet-value and --map")
        counts = None if scale is None else float(scale.value)
        black_dn = agreed("--black", black, "--offset", offset)
        check_numbers(black_dn, white, gain)
        region = None if roi is None else area(roi)
        if not timeout > 0:
            raise UsageError("--timeout: seconds above 0")
        from noisediag.images import pictures, read

        if series is None:
            files = [picture for file in files for picture in pictures(file)]
        _check_outputs(files, output, curve, sigma_map, force=force)

        from noisediag.estimator import Estimator
        from noisediag.reports import Failure

        estimator = Estimator(checkpoint, device.value)
        line_of = _line_of(quiet_value=quiet_value, scale=counts, handover=handover)
        lines: dict[Path, str] = {}

        def measure(path: Path) -> Footprint:
            image = read(
                path,
                black=black_dn,
                white=white,
                channel=channel,
                frame=frame,
                roi=region,
                linear=linear,
                series=series,
                z=z,
                dataset=dataset,
            )
            footprint = estimator.estimate(image, gain=gain)
            if image.frames > 1:
                from noisediag.labels.bursts import with_repeats

                footprint = with_repeats(footprint, image)
            if curve is not None:
                from noisediag.reports import plots

                write_file(curve, lambda part: plots.noise_curve(footprint, part), force=force)
            if sigma_map is not None:
                from noisediag.reports import maps

                sigmas = estimator.sigma_map(image, footprint, scale=counts)
                write = maps.sigma_array if sigma_map.suffix == ".npy" else partial(maps.sigma_map, scale=counts)
                write_file(sigma_map, lambda part: write(sigmas, part), force=force)
            if line_of is not None:
                lines[path] = line_of(footprint)
            return footprint

        style = "line" if line_of else "json" if json else "csv" if csv else "table" if output is None else ""

        def finish(outcomes: Sequence[Outcome]) -> int:
            """Write what is written at the end; the exit code."""
            if style == "json":
                sys.stdout.write(dumped(outcomes, estimator.checkpoint, ".json"))
            if output is not None:
                text = dumped(outcomes, estimator.checkpoint, output.suffix)
                write_file(output, lambda part: part.write_text(text, encoding="utf-8"), force=force)
            failed = sum(isinstance(outcome, Failure) for outcome in outcomes)
            return 0 if not failed else NONE_READABLE if failed == len(outcomes) else SOME_FAILED

        code = finish(_estimate_each(files, measure, estimator.checkpoint, style, lines, timeout, finish))
        if code:
            raise typer.Exit(code)


def _line_of(*, quiet_value: bool, scale: float | None, handover: Handover | None) -> Callable[[Footprint], str] | None:
    """What makes the one line that is printed of each file; None for tables and reports."""
    from noisediag.reports import denoisers

    if handover is not None:
        return denoisers.FORMATS[handover.value]
    if quiet_value:
        return partial(denoisers.quiet_value, scale=1.0 if scale is None else scale)
    return None


def _estimate_each(
    files: Sequence[Path],
    measure: Callable[[Path], Footprint],
    checkpoint: CheckpointId,
    style: str,
    lines: Mapping[Path, str],
    timeout_s: float,
    finish: Callable[[Sequence[Outcome]], int],
) -> list[Outcome]:
    """What became of every file, in order. Tables, CSV rows and `lines` are printed as they come.

    `finish` is called with what there is where a file neither ends in time nor lets itself be interrupted.
    """
    from noisediag.reports import Failure
    from noisediag.reports.attempt import attempt
    from noisediag.reports.deadline import deadline
    from noisediag.reports.rows import writable

    if style == "csv":
        from noisediag.reports import csv

        sys.stdout.write(csv.header())
    elif style == "table":
        from noisediag.reports import table

    outcomes: list[Outcome] = []
    for path in _progress(files, shown=style in ("", "json") or not sys.stdout.isatty()):

        def stuck(path: Path = path) -> int:
            late = Failure(str(path), "timeout", f"not done after {timeout_s:g} s, nor to be interrupted: the run ends")
            complain(late.message, late.path)
            code = finish([*outcomes, late])
            sys.stdout.flush()
            return code

        def in_time(path: Path, stuck: Callable[[], int] = stuck) -> Footprint:
            with deadline(timeout_s, stuck=stuck):
                return measure(path)

        outcome = writable(attempt(path, in_time, alone=len(files) == 1), checkpoint)
        outcomes.append(outcome)
        if isinstance(outcome, Failure):
            complain(outcome.message, outcome.path)
        else:
            for warning in outcome.warnings:
                complain(f"warning: {warning}", path)
            if style == "table":
                print_80(table.render(outcome))
                print_80("")
            elif style == "line":
                sys.stdout.write(lines[path] + "\n")
        if style == "csv":
            sys.stdout.write(csv.rows(outcome, checkpoint))
    return outcomes


def _check_style(*, json: bool, csv: bool, quiet_value: bool, handover: Handover | None) -> None:
    """Raise UsageError where stdout would have to hold two things."""
    chosen = {"--json": json, "--csv": csv, "--quiet-value": quiet_value, "--format": handover is not None}
    given = [name for name, wanted in chosen.items() if wanted]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other")


def _progress(files: Sequence[Path], *, shown: bool) -> Iterable[Path]:
    """`files` behind a progress bar on stderr, where that is a terminal and nothing else is being printed on it."""
    if len(files) == 1 or not shown or not sys.stderr.isatty():
        return files
    from rich.console import Console
    from rich.progress import track

    return track(files, description="estimate", console=Console(stderr=True), transient=True)


def _check_outputs(
    files: Sequence[Path], output: Path | None, curve: Path | None, sigma_map: Path | None, *, force: bool
) -> None:
    """Raise UsageError for outputs that could not be written, before any work is done."""
    if len(files) > 1 and (curve or sigma_map):
        raise UsageError("--curve and --map take one FILE at a time")
    check_output("--output", output, REPORT_SUFFIXES, inputs=files, force=force)
    check_plot("--curve", curve, inputs=files, force=force)
    check_output("--map", sigma_map, MAP_SUFFIXES, inputs=files, force=force)
