"""What `noisediag --help` prints.

Typer would import every command for it, and half of rich; so the commands are listed here, and drawn as Typer draws
them. A test keeps both equal to what the commands say of themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

# What each command does, as the first paragraph of its docstring says it. A command NAME is the function of that name,
# or the group `app`, in noisediag.cli.NAME; its module is imported when it is asked for.
COMMANDS = {
    "estimate": "Print the noise footprint of each FILE.",
    "batch": "Measure every picture of FOLDER; print a summary.",
    "merge": "Join the PARTs of a sharded batch; print the summary of the whole.",
    "report": "Write a self-contained page: distributions by folder, camera, ISO and date, outliers, noise curves, "
    "drift.",
    "simulate": "Write a noisy picture, or a stack, with a known footprint; print its truth as JSON, also written "
    "beside it.",
    "benchmark": "Score the model on pictures with noise of known size.",
    "pretrain": "Train the encoder, or one of the models on top of it, from procedural scenes.",
    "profile": "Print the noise profile of each camera: S and O per ISO and colour, pooled over its FILEs.",
    "check": "Compare the noise that each FILE states with the noise that its pixels show.",
    "advise": "Print what each STACK says of the next acquisition: photons, SNR, frames, dwell or power for a target.",
    "distance": "Compare the noise of two folders: MMD with a permutation p-value, and density overlap, in the "
    "embedding.",
    "explain": "Explain noise by ISO, exposure time, aperture, focal length, camera, date and temperature (Shapley "
    "values).",
    "measure": "Print the noise that repeats, flat fields and darks, or pairs of noisy and clean pictures show: no "
    "model guesses.",
    "verify": "Transform FILE by a noise profile so that its noise must have a known variance, and look whether it "
    "has.",
    "finetune": "Learn to read your own noise from about 100 labelled pictures; the result is a --checkpoint for "
    "estimate.",
}


def print_overview(usage: str, text: str, options: Iterable[tuple[str, str]]) -> None:
    """Print `usage`, what the program does, its options (names and help) and its commands."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Padding(Text(usage, style="bold"), 1))
    console.print(Padding(Text(text), (0, 1, 1, 1)))
    console.print(_panel("Options", options))
    console.print(_panel("Commands", COMMANDS.items()))
    console.print()


def _panel(title: str, entries: Iterable[tuple[str, str]]) -> RenderableType:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, expand=True, box=None, pad_edge=False, padding=(0, 1))
    table.add_column(style="bold cyan", no_wrap=True, min_width=max(map(len, COMMANDS)))
    table.add_column(ratio=1)
    for name, help_text in entries:
        table.add_row(Text(name), Text(help_text))
    return Panel(table, title=title, title_align="left", border_style="dim")
