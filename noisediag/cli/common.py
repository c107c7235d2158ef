"""What the commands share: options, and errors in one line each."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.errors import NoisediagError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

SOME_FAILED, NONE_READABLE, INTERRUPTED, PIPE_CLOSED = 3, 4, 130, 141
REPORT_SUFFIXES = (".json", ".csv")
OUTPUT_PANEL, MODEL_PANEL = "Output", "Model"


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
Checkpoint = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A trained model instead of the one we ship.", rich_help_panel=MODEL_PANEL),
]
OnDevice = Annotated[Device, typer.Option("--device", help="Where the model runs.", rich_help_panel=MODEL_PANEL)]


def complain(message: str, path: str | Path | None = None) -> None:
    """One line on stderr, `noisediag: [path: ]message`, with nothing in it that could act on a terminal."""
    from noisediag.reports.table import printable

    where = "" if path is None else f"{path}: "
    sys.stderr.write(printable(f"noisediag: {where}{one_line(message)}") + "\n")


def one_line(message: str) -> str:
    """`message` with its line ends and repeated blanks folded."""
    return " ".join(message.split())


def check_output(
    option: str, path: Path, suffixes: tuple[str, ...], *, inputs: Iterable[Path] = (), force: bool = False
) -> None:
    """Raise UsageError where `path` has another ending or could not be written: before the work, not after it."""
    from noisediag.reports.files import check

    if path.suffix not in suffixes:
        raise UsageError(f"{option} {path}: the name must end in {' or '.join(suffixes)}")
    check(path, inputs=inputs, force=force)


def print_80(renderable: RenderableType) -> None:
    """Print tables on stdout, at most 80 columns wide wherever it goes; NO_COLOR is honoured."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=80, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())  # rich pads the last column


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn the errors a user can meet into one line and an exit code; an interrupt and a closed pipe end quietly."""
    try:
        yield
        sys.stdout.flush()
    except NoisediagError as error:
        complain(str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        complain("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader has what it wanted (`| head`); Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None
