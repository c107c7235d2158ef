"""What the commands share: options, and errors in one line each."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from noisediag.errors import NoisediagError, UsageError
from noisediag.errors import complain as complain

if TYPE_CHECKING:
    from rich.console import RenderableType

SOME_FAILED, NONE_READABLE, INTERRUPTED, PIPE_CLOSED = 3, 4, 130, 141
REPORT_SUFFIXES = (".json", ".csv")
OUTPUT_PANEL, MODEL_PANEL = "Output", "Model"
INPUT_PANEL = "What the file does not say, and which part of it to read"


class Device(str, Enum):
    """Where the model runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Json = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of a table.", rich_help_panel=OUTPUT_PANEL)]
Csv = Annotated[bool, typer.Option("--csv", help="CSV on stdout instead of a table.", rich_help_panel=OUTPUT_PANEL)]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write a .json or .csv file.", rich_help_panel=OUTPUT_PANEL),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing output.", rich_help_panel=OUTPUT_PANEL)]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png|.svg|.pdf", help="Draw the result.", rich_help_panel=OUTPUT_PANEL),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A trained model instead of the one we ship.", rich_help_panel=MODEL_PANEL),
]
OnDevice = Annotated[Device, typer.Option("--device", help="Where the model runs.", rich_help_panel=MODEL_PANEL)]


def panel(title: str) -> Callable[..., Any]:
    """What `typer.Option` makes, in the panel `title` of the help."""
    return partial(typer.Option, rich_help_panel=title)


_of_input = panel(INPUT_PANEL)
Black = Annotated[float | None, _of_input(help="Black level, DN.")]
White = Annotated[float | None, _of_input(help="White level, DN.")]
Offset = Annotated[float | None, _of_input(help="The detector's offset, DN: another name for --black.")]
Gain = Annotated[float | None, _of_input(help="Conversion gain, e-/DN.")]
Channel = Annotated[str | None, _of_input(help="One channel or colour, by name or number.")]
Frame = Annotated[int | None, _of_input(help="One frame of a stack, from 0.")]
Series = Annotated[str | None, _of_input(help="One picture of a file or plate that holds several, by name or number.")]
DepthIndex = Annotated[int | None, _of_input("--z", help="One depth of a focus series, from 0.", metavar="INTEGER")]
Dataset = Annotated[str | None, _of_input(metavar="PATH", help="One data set of an HDF5 file or a Zarr store.")]
Linear = Annotated[bool, _of_input("--linear", help="The codes are proportional to light, whatever the format.")]
Roi = Annotated[str | None, _of_input(help="A part of the picture, px.", metavar="X,Y,W,H")]


class PlainHelp(typer.core.TyperGroup):
    """A group whose own help is plain text: laying it out in panels would cost more than all of its imports."""

    def __init__(self, **options: Any):
        super().__init__(**options | {"rich_markup_mode": None})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Whole first sentences, wrapped, where click cuts them to a line."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(limit=200)) for name, command in self.commands.items()]
            )


class ManyValues(typer.core.TyperCommand):
    """A command whose repeatable options take all the words up to the next option: --flats A B C D."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        many = {opt for param in self.params if getattr(param, "multiple", False) for opt in param.opts}
        spread: list[str] = []
        option: str | None = None
        for word in args:
            if word.startswith("-") and word != "-":
                option = word if word in many else None
                spread += [] if option else [word]
            else:
                spread += [option, word] if option else [word]
        return super().parse_args(ctx, spread)


def check_style(*, json: bool, csv: bool) -> None:
    """Raise UsageError where stdout would have to hold two formats."""
    if json and csv:
        raise UsageError("--json and --csv exclude each other")


def check_output(
    option: str, path: Path | None, suffixes: tuple[str, ...], *, inputs: Iterable[Path] = (), force: bool = False
) -> None:
    """Raise UsageError where `path` has another ending or could not be written: before the work, not after it."""
    from noisediag.reports.files import check

    if path is None:
        return
    if path.suffix not in suffixes:
        raise UsageError(f"{option} {path}: the name must end in {' or '.join(suffixes)}")
    check(path, inputs=inputs, force=force)


def check_plot(option: str, path: Path | None, *, inputs: Iterable[Path] = (), force: bool = False) -> None:
    """Raise UsageError where the plot could not be drawn."""
    if path is not None:
        from noisediag.reports import plots

        endings = (*plots.SUFFIXES, path.suffix) if path.suffix.lower() in plots.SUFFIXES else plots.SUFFIXES
        check_output(option, path, endings, inputs=inputs, force=force)
        plots.require()


def write_file(path: Path | None, write: Callable[[Path], Any], *, force: bool) -> None:
    """Let `write` write to `path`, if there is one: it appears whole or not at all."""
    if path is not None:
        from noisediag.reports.files import replacing

        with replacing(path, force=force) as part:
            write(part)


def print_80(renderable: RenderableType) -> None:
    """Print tables on stdout, at most 80 columns wide wherever it goes; NO_COLOR is honoured."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=80, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())  # rich pads the last column


def agreed(name: str, value: float | None, other_name: str, other: float | None) -> float | None:
    """The one value that two options stand for. Raises UsageError where both are given and differ."""
    if value is not None and other is not None and value != other:
        raise UsageError(f"{name} {value:g} and {other_name} {other:g} are two names for one thing and differ")
    return other if value is None else value


def check_numbers(black: float | None, white: float | None, gain: float | None) -> None:
    """Raise UsageError for levels and gains that no picture can have."""
    for name, value in (("--black", black), ("--white", white), ("--gain", gain)):
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{name} must be a finite number")
    if gain is not None and gain <= 0:
        raise UsageError("--gain must be above 0 e-/DN")
    if black is not None and white is not None and black >= white:
        raise UsageError(f"--black {black:g} must be below --white {white:g}")


def area(text: str) -> tuple[int, int, int, int]:
    """`--roi`: x, y, width, height. Raises UsageError."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--roi {text}: four whole numbers are needed, x,y,width,height") from None
    if min(x, y) < 0 or min(width, height) < 1:
        raise UsageError(f"--roi {text}: x and y from 0, width and height from 1")
    return x, y, width, height


class Stopped(KeyboardInterrupt):
    """A signal that asks for the end, handled like Ctrl-C: files and terminal are left in order."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def stop_at_signals() -> None:
    """Let SIGTERM and SIGHUP raise Stopped in the main thread, the first time; a second one ends the process at once.

    What the caller has them ignored for (`nohup`) stays ignored.
    """

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Stopped(number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)


@contextmanager
def errors_in_words(interrupted: str = "interrupted") -> Iterator[None]:
    """Turn the errors a user can meet into one line and an exit code; a closed pipe ends quietly.

    `interrupted`: what Ctrl-C, SIGTERM and SIGHUP say.
    """
    try:
        yield
        sys.stdout.flush()
    except NoisediagError as error:
        complain(str(error))
        raise typer.Exit(error.exit_code) from None
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        complain("this needs torch, which is not installed: python -m pip install torch")
        raise typer.Exit(UsageError.exit_code) from None
    except KeyboardInterrupt as stop:
        complain(interrupted)
        raise typer.Exit(128 + stop.number if isinstance(stop, Stopped) else INTERRUPTED) from None
    except OSError as error:
        raise typer.Exit(refused(error)) from None


def refused(error: OSError) -> int:
    """The exit code of what the system refuses, said in one line; quietly where it is a closed pipe (`| head`).

    Python flushes stdout once more when it ends, and would complain: what is left goes nowhere.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return PIPE_CLOSED
    complain(f"{error.filename or 'the output'}: {error.strerror or error}")
    return UsageError.exit_code
