"""What the examples of the handbook's page on Python print: `python tests/python_page.py` writes it into the page."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "noisediag" / "guide" / "python.md"
BLOCK = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def session(text: str) -> str:
    """All examples of the page, which are one session."""
    return "\n".join(BLOCK.findall(text))


def shown(source: str, names: dict[str, object]) -> str:
    """What the interpreter shows of one example."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(source, "<page>", "single"), names)
        except Exception as error:
            last = "".join(traceback.format_exception_only(error))
            return f"Traceback (most recent call last):\n    ...\n{last}"
    return out.getvalue()


def written(block: str, names: dict[str, object]) -> str:
    """A block with what its examples print now."""
    lines = []
    for example in doctest.DocTestParser().get_examples(block):
        first, *more = example.source.splitlines()
        lines += [f">>> {first}", *(f"... {line}" for line in more), *shown(example.source, names).splitlines()]
    return "```pycon\n" + "\n".join(lines) + "\n\n```"


def main() -> None:
    """Write the page."""
    os.chdir(ROOT)
    names: dict[str, object] = {}
    PAGE.write_text(BLOCK.sub(lambda match: written(match[1], names), PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
