"""`noisediag guide`: the handbook in the terminal."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.common import complain, errors_in_words
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

NOT_FOUND = 1
WIDEST = 100  # columns: longer lines of prose are hard to read
_LINK = re.compile(r"\[([^\]]+)\]\(([a-z0-9-]+)\.md(?:#[^)]*)?\)")


def _topics(incomplete: str) -> list[tuple[str, str]]:
    from noisediag import guide as handbook

    return [(name, handbook.title(name)) for name in handbook.NAMES if name.startswith(incomplete)]


def guide(
    topic: Annotated[
        str | None, typer.Argument(metavar="[TOPIC]", help="A page of the handbook.", autocompletion=_topics)
    ] = None,
    search: Annotated[
        list[str] | None, typer.Option("--search", metavar="WORDS", help="Print the passages that hold all of WORDS.")
    ] = None,
) -> None:
    """Show a page of the handbook, or list its pages.

    In a terminal a pager shows it (PAGER says which); elsewhere it is plain Markdown. Exit codes: 0 shown, 1 no passage
    holds the words, 2 there is no such page.
    """
    with errors_in_words():
        from noisediag import guide as handbook

        page = None if topic is None else handbook.read(topic)
        if search is not None:
            words = [word for text in search for word in text.split()]
            if not words:
                raise UsageError("--search: no word to look for")
            text = _found(words, topic)
        else:
            text = _list() if page is None else page
        _show(text, paged=page is not None or search is not None)


def _list() -> str:
    from noisediag import guide as handbook

    width = max(len(name) for name in handbook.NAMES)
    lines = ["The handbook. `noisediag guide TOPIC` shows a page, `--search WORDS` finds passages.", ""]
    for heading, names in handbook.PAGES.items():
        lines += [heading, *(f"  {name:{width}}  {handbook.title(name)}" for name in names), ""]
    return "\n".join(lines[:-1]) + "\n"


def _found(words: Sequence[str], topic: str | None) -> str:
    """The passages that hold `words`, as Markdown. Raises typer.Exit, after a line on stderr, where none does."""
    from noisediag import guide as handbook

    passages = handbook.search(words, topic)
    if not passages:
        like = dict.fromkeys(word for asked in words for word in handbook.words_like(asked) if word not in words)
        complain(f"no passage holds {' and '.join(words)}" + (f"; words like these: {', '.join(like)}" if like else ""))
        raise typer.Exit(NOT_FOUND)
    parts = []
    where = None
    for passage in passages:
        if where != (passage.page, passage.heading):
            where = (passage.page, passage.heading)
            parts.append(f"## {passage.page}: {passage.heading}")
        if not passage.text.startswith("#"):
            parts.append(passage.text)
    return "\n\n".join(parts) + "\n"


def _show(text: str, *, paged: bool) -> None:
    """`text` on stdout: as it is, or laid out and in a pager where a terminal reads it."""
    if not sys.stdout.isatty():
        sys.stdout.write(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(highlight=False)
    console.width = min(console.width, WIDEST)
    body: RenderableType = Markdown(_LINK.sub(r"\1 (`guide \2`)", text)) if paged else text
    if not paged or (os.name == "nt" and "PAGER" not in os.environ):
        console.print(body, markup=False)
        return
    os.environ.setdefault("LESS", "FRX")  # as git does: colours, and no pager for what fits the screen
    with console.pager(styles="NO_COLOR" not in os.environ):
        console.print(body)
