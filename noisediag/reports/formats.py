"""The table of formats, made of what the readers declare: for the terminal, and as Markdown for the handbook."""

from __future__ import annotations

from rich.table import Table

from noisediag.images.formats import declarations

COLUMNS = ("format", "reads", "black", "white", "time", "extra", "library")


def rows() -> list[tuple[str, ...]]:
    """A row a format, by COLUMNS; names of files in brackets, "-" where the format states nothing."""
    return [
        (
            one.name + (f" ({', '.join(f'.{word}' for word in one.suffixes.split())})" if one.suffixes else ""),
            one.reads,
            *(text or "-" for text in (one.black, one.white, one.time, one.extra)),
            one.library,
        )
        for _, one in declarations()
    ]


def markdown() -> str:
    """The table as Markdown, a line a format."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows()]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def render() -> Table:
    """The table for a terminal of 80 columns: what is read, and below it what the format states."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("format", "extra", "what is read of it, and what it states"):
        table.add_column(name, overflow="fold", ratio=None if name == "extra" else 1)
    for name, reads, *stated, extra, _ in rows():
        levels = [f"{what}: {text}" for what, text in zip(COLUMNS[2:5], stated, strict=True) if text != "-"]
        table.add_row(name, extra, "\n".join([reads, *levels]))
    return table
