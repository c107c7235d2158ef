"""`noisediag estimate`: the footprint of each file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noisediag.cli.answers import Answers, Reverse, Sorted
from noisediag.cli.common import (
    NONE_READABLE,
    OUTPUT_PANEL,
    REPORT_SUFFIXES,
    SOME_FAILED,
    STDOUT,
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
from noisediag.cli.inputs import STDIN, Stdin, expanded, opened
from noisediag.errors import UsageError, tell

if TYPE_CHECKING:
    from noisediag.estimator import Estimator
    from noisediag.footprint.file import Footprint
    from noisediag.images import Image
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
Details = Annotated[bool, _output("--details", help="All numbers of each FILE, in tables.")]
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
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="RAW, TIFF, PNG, JPEG, FITS, ... (see --list-formats); a folder of such; - for one from stdin.",
        ),
    ],
    details: Details = False,
    sort: Sorted = None,
    reverse: Reverse = False,
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

    Of one file a summary, the noise curve, the noises found and what follows; of several, or of a folder without
    sub-folders, a line each.

    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged.
    """
    with errors_in_words():
        if scale is not None and not (quiet_value or sigma_map):
            raise UsageError("--scale is that of --quiet-value and --map")
        counts = None if scale is None else float(scale.value)
        black_dn = agreed("--black", black, "--offset", offset)
        check_numbers(black_dn, white, gain)
        region = None if roi is None else area(roi)
        if not timeout > 0:
            raise UsageError("--timeout: seconds above 0")
        files, several = expanded(files, whole_stores=series is not None)
        wanted = _Wanted(output, curve, sigma_map, counts, force, _line_of(quiet_value, counts, handover))
        styles = {"--json": json, "--csv": csv, "--details": details, "--quiet-value": quiet_value}
        wanted.choose(styles | {"--format": handover is not None, "--sort": sort is not None}, several=several)
        if reverse and sort is None:
            raise UsageError("--reverse turns the order of --sort about")
        wanted.check(files)

        from noisediag.estimator import Estimator
        from noisediag.images import read

        options: dict[str, Any] = {"black": black_dn, "white": white, "channel": channel, "frame": frame}
        options |= {"roi": region, "linear": linear, "series": series, "z": z, "dataset": dataset}
        with opened(files) as stdin:
            estimator = Estimator(checkpoint, device.value)
            measuring = _Measuring(estimator, partial(read, **options), gain, wanted, stdin)
            answers = Answers(wanted.style, files, estimator.checkpoint, wanted.lines, by=sort, reverse=reverse)
            outcomes = _Run(measuring, answers, timeout).of(files)
            code = measuring.finish(outcomes)
        if code:
            raise typer.Exit(code)


@dataclass
class _Wanted:
    """What goes where. `style`: what is printed, see `Answers`, or `json`, at the end; empty: nothing."""

    output: Path | None
    curve: Path | None
    sigma_map: Path | None
    scale: float | None
    force: bool
    line_of: Callable[[Footprint], str] | None
    style: str = ""
    lines: dict[Path, str] = field(default_factory=dict)

    def choose(self, given: dict[str, bool], *, several: bool) -> None:
        """The style that options ask for. Raises UsageError where stdout would have to hold two things."""
        sort = given.pop("--sort")
        chosen = [name for name, wanted in given.items() if wanted]
        places = {"--output": self.output, "--curve": self.curve, "--map": self.sigma_map}
        taken = [f"{name} -" for name, path in places.items() if path == STDOUT]
        if len(chosen) + len(taken) > 1 and not (taken == ["--output -"] and chosen in (["--csv"], ["--json"])):
            raise UsageError(f"{' and '.join([*chosen, *taken])} exclude each other")
        if sort and (chosen or self.output is not None or not several):
            raise UsageError("--sort is for the lines that are printed of several files")
        by_option = {"--json": "json", "--csv": "csv", "--details": "details"}
        if chosen:
            self.style = by_option.get(chosen[0], "number")
        elif self.output == STDOUT:
            self.style = "json"
        elif self.output is None and not taken:
            self.style = "lines" if several else "screen"

    def check(self, files: Sequence[Path]) -> None:
        """Raise UsageError for outputs that could not be written, before any work is done."""
        if len(files) > 1 and (self.curve or self.sigma_map):
            raise UsageError("--curve and --map take one FILE at a time")
        check = partial(check_output, inputs=files, force=self.force, stdout=True)
        check("--output", self.output, REPORT_SUFFIXES)
        if self.curve == STDOUT:
            check("--curve", self.curve, (".png",))
        check_plot("--curve", None if self.curve == STDOUT else self.curve, inputs=files, force=self.force)
        check("--map", self.sigma_map, MAP_SUFFIXES)


def _line_of(quiet_value: bool, scale: float | None, handover: Handover | None) -> Callable[[Footprint], str] | None:
    """What makes the one line that is printed of each file; None for tables and reports."""
    if handover is None and not quiet_value:
        return None
    from noisediag.reports import denoisers

    if handover is not None:
        return denoisers.FORMATS[handover.value]
    return partial(denoisers.quiet_value, scale=1.0 if scale is None else scale)


@dataclass(frozen=True)
class _Measuring:
    """How one file is measured, and what is written of it and of all."""

    estimator: Estimator
    read: Callable[[Path], Image]
    gain: float | None
    wanted: _Wanted
    stdin: Stdin

    def __call__(self, path: Path) -> Footprint:
        """The footprint of `path`, its map and plot written."""
        return self.stdin.named(path, partial(self._measure, path))

    def _measure(self, path: Path, real: Path) -> Footprint:
        wanted = self.wanted
        image = self.read(real)
        footprint = self.estimator.estimate(image, gain=self.gain)
        if image.frames > 1:
            from noisediag.labels.bursts import with_repeats

            footprint = with_repeats(footprint, image)
        if path == STDIN:
            footprint = _called(footprint, str(path))
        if wanted.curve is not None:
            from noisediag.reports import plots

            write = partial(plots.noise_curve, footprint)
            write_file(wanted.curve, write, force=wanted.force, kind=".png")
        if wanted.sigma_map is not None:
            from noisediag.reports import maps

            sigmas = self.estimator.sigma_map(image, footprint, scale=wanted.scale)
            numpy = wanted.sigma_map.suffix == ".npy"
            draw = maps.sigma_array if numpy else partial(maps.sigma_map, scale=wanted.scale)
            write_file(wanted.sigma_map, lambda part: draw(sigmas, part), force=wanted.force, kind=".tif")
        if wanted.line_of is not None:
            wanted.lines[path] = wanted.line_of(footprint)
        return footprint

    def finish(self, outcomes: Sequence[Outcome]) -> int:
        """Write what is written at the end; the exit code."""
        from noisediag.reports import Failure

        output, checkpoint = self.wanted.output, self.estimator.checkpoint
        if self.wanted.style == "json":
            sys.stdout.write(dumped(outcomes, checkpoint, ".json"))
        if output is not None and output != STDOUT:
            text = dumped(outcomes, checkpoint, output.suffix)
            write_file(output, lambda part: part.write_text(text, encoding="utf-8"), force=self.wanted.force)
        failed = sum(isinstance(outcome, Failure) for outcome in outcomes)
        return 0 if not failed else NONE_READABLE if failed == len(outcomes) else SOME_FAILED


@dataclass(frozen=True)
class _Run:
    """All files, one after the other."""

    measuring: _Measuring
    answers: Answers
    timeout_s: float

    def of(self, files: Sequence[Path]) -> list[Outcome]:
        """What became of every file, in order; printed as it comes.

        Where a file neither ends in time nor lets itself be interrupted, what there is is written.
        """
        from noisediag.reports.attempt import attempt
        from noisediag.reports.deadline import deadline
        from noisediag.reports.progress import Waiting
        from noisediag.reports.rows import writable

        outcomes: list[Outcome] = []

        def in_time(path: Path) -> Footprint:
            with deadline(self.timeout_s, stuck=partial(self._stuck, path, outcomes)):
                return self.measuring(path)

        try:
            with Waiting("estimate", len(files)) as waiting:
                for path in files:
                    begun = time.monotonic()
                    outcome = writable(
                        attempt(path, in_time, alone=len(files) == 1), self.measuring.estimator.checkpoint
                    )
                    outcomes.append(outcome)
                    with waiting.aside():
                        tell(_told(outcome, time.monotonic() - begun), path)
                        self.answers.add(path, outcome)
                    waiting.advance()
        finally:
            self.answers.end()
        return outcomes

    def _stuck(self, path: Path, outcomes: Sequence[Outcome]) -> int:
        from noisediag.reports import Failure

        why = f"not done after {self.timeout_s:g} s, nor to be interrupted: the run ends"
        late = Failure(str(path), "timeout", why)
        complain(late.message, late.path)
        self.answers.end()
        code = self.measuring.finish([*outcomes, late])
        sys.stdout.flush()
        self.measuring.stdin.remove()
        return code


def _called(footprint: Footprint, name: str) -> Footprint:
    """`footprint` of a file that was called something else while it was read."""
    measured = None if footprint.measured is None else _called(footprint.measured, name)
    return replace(footprint, path=name, measured=measured)


def _told(outcome: Outcome, seconds: float) -> str:
    """What --verbose says of one file."""
    from noisediag.reports import Failure

    if isinstance(outcome, Failure):
        return f"{outcome.code}, {seconds:.2f} s"
    shape = " x ".join(map(str, outcome.planes[-1].shape))
    return f"read by {outcome.reader} as {outcome.domain}, {len(outcome.planes)} planes, {shape} px, {seconds:.2f} s"
