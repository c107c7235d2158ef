"""What the commands share: options, and errors in one line each."""

from __future__ import annotations

import math
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from noisediag.errors import VOICE, NoisediagError, UsageError
from noisediag.errors import complain as complain
from noisediag.errors import warn as warn

if TYPE_CHECKING:
    from rich.console import RenderableType

SOME_FAILED, NONE_READABLE, INTERRUPTED, PIPE_CLOSED = 3, 4, 130, 141
REPORT_SUFFIXES = (".json", ".csv")
STDOUT = Path("-")  # as an output: of the first format that the option takes
TEXT_SUFFIXES = (".json", ".jsonl", ".csv", ".html", ".sh")
NARROWEST, WIDEST = 60, 200  # columns that are printed on
_PADDING = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$")
_UNUSUAL = frozenset("~:\\")  # of words that may be spelled otherwise on this disk, or addresses
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


def completing(names: Sequence[str], *, several: bool = False) -> Callable[[str], list[str]]:
    """What completes a value that is one of `names`, or `several` of them with commas between."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",") if several else ("", "", incomplete)
        return [f"{before}{comma}{name}" for name in names if name.startswith(last)]

    return complete


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


class GivenWords(typer.core.TyperCommand):
    """A command that takes paths as people write them; addresses are refused, since nothing is downloaded."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if ctx.resilient_parsing else _as_meant(args))


class ManyValues(GivenWords):
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


def _as_meant(words: Sequence[str]) -> list[str]:
    """The words of a command line with paths as this disk spells them. Exits where one is an address."""
    meant: list[str] = []
    for before, word in zip(("", *words), words, strict=False):
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if not (value.isascii() and not set(value) & _UNUSUAL) and before != "--scheduler" and option != "--scheduler":
            from noisediag.images import naming  # plain words, the most, need none of it

            if naming.is_address(value):
                complain("is an address, and nothing is downloaded: fetch it, and give the file", value)
                raise typer.Exit(UsageError.exit_code)
            given = Path(value)
            value = str(there) if value and (there := naming.found(given)) != given else value
        meant.append(f"{option}{equals}{value}")
    return meant


def check_style(*, json: bool, csv: bool) -> None:
    """Raise UsageError where stdout would have to hold two formats."""
    if json and csv:
        raise UsageError("--json and --csv exclude each other")


def check_output(
    option: str,
    path: Path | None,
    suffixes: tuple[str, ...],
    *,
    inputs: Iterable[Path] = (),
    force: bool = False,
    stdout: bool = False,
) -> None:
    """Raise UsageError where `path` has another ending or could not be written: before the work, not after it.

    `stdout`: it may be `-`, for the command prints nothing else then.
    """
    from noisediag.reports.files import check

    if path is None:
        return
    if path == STDOUT:
        if not stdout:
            raise UsageError(f"{option} -: this goes to a file only")
        if sys.stdout.isatty() and suffixes[0] not in TEXT_SUFFIXES:
            raise UsageError(f"{option} -: a terminal cannot show {suffixes[0]}: name a file, or pipe it on")
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


def write_file(path: Path | None, write: Callable[[Path], Any], *, force: bool, kind: str = "") -> None:
    """Let `write` write to `path`, if there is one: it appears whole or not at all.

    To stdout where it is `-`; `kind`: the ending that says what format is wanted then.
    """
    if path == STDOUT:
        with tempfile.TemporaryDirectory(prefix="noisediag-stdout-") as folder:
            part = Path(folder, f"stdout{kind}")
            write(part)
            sys.stdout.flush()
            sys.stdout.buffer.write(part.read_bytes())
            sys.stdout.buffer.flush()
    elif path is not None:
        from noisediag.reports.files import replacing

        with replacing(path, force=force) as part:
            write(part)


def print_80(renderable: RenderableType) -> None:
    """Print tables on stdout, at most 80 columns wide wherever it goes; NO_COLOR is honoured."""
    print_at(renderable, 80)


def print_at(renderable: RenderableType, width: int) -> None:
    """Print on stdout, at most `width` columns wide; NO_COLOR is honoured."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=width, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    with VOICE.aside():
        # rich pads lines to their width, within the styles of a terminal, too
        sys.stdout.writelines(_PADDING.sub(r"\1", line) + "\n" for line in capture.get().splitlines())
        sys.stdout.flush()


def terminal_width() -> int:
    """Columns that the answer may take: those of the terminal, or of COLUMNS; 80 where there is neither."""
    from rich.console import Console

    return max(NARROWEST, min(Console(file=sys.stdout).width, WIDEST))


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
