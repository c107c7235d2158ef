"""What reports hold of what files say: texts and lists cut at a stated length with a mark, no path of the machine.

A file may state a text of a gigabyte, or half of a surrogate pair, and what reads it may complain with the whole path:
none of it may make a report that cannot be written, or that differs from one place of the same files to another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

TEXT_CHARACTERS = 4096  # of one text: no path is longer
CELL_CHARACTERS = 32_000  # of one cell of a table; spreadsheets take 32,767
ITEMS = 1000  # of a list of tags, or in one tag
WARNINGS = 100  # of one file
_DEPTH = 8  # of lists within lists
_WHOLE = 2**63  # whole numbers from here on are written as floats: other programs have no larger ones

# /usr/lib/x.py, C:\Users\x.tif, \\server\share\x: what stands before their last part. No URL, no fraction, no unit.
_ABSOLUTE = re.compile(
    r"""(?<![\w./\\:~-])(?:[A-Za-z]:[\\/]|\\\\|/)(?:[^\s/\\'"<>|:;,()]+[\\/]+)*(?=[^\s/\\'"<>|:;,()])"""
)
_QUOTED = re.compile(r"""(['"])(?:[A-Za-z]:[\\/]|\\\\|/)(?:[^'"\n]*[\\/])?([^'"\n\\/]+)[\\/]*\1""")


def text(value: str, limit: int | None = TEXT_CHARACTERS) -> str:
    r"""`value` as every format can hold it: no lone surrogates, and not longer than `limit` (None: any length).

    >>> text("a\udcff"), text("x" * 50, 40)
    ('a\\udcff', 'xxxxxxx [... cut at 40 of 50 characters]')
    """
    clean = _clean(value if limit is None else value[: limit + 1])
    if limit is None or (len(value) <= limit and len(clean) <= limit):
        return clean
    mark = f" [... cut at {limit} of {len(value)} characters]"
    return clean[: max(limit - len(mark), 0)] + mark


def tags(stated: Mapping[Any, Any]) -> dict[str, Any]:
    """`stated`, the tags of a file, with bounded names, texts, lists and numbers, in types of Python's own."""
    found = {text(str(name)): _bounded(value, 1) for name, value in list(stated.items())[:ITEMS]}
    if len(stated) > ITEMS:
        found["..."] = f"cut at {ITEMS} of {len(stated)} tags"
    return found


def message(words: str, path: str | None = None) -> str:
    """`words` without absolute paths: of that of the file itself, at `path`, and of any other only the last part stays.

    >>> message("[Errno 2] No such file or directory: '/home/ann/x y.tif'")
    "[Errno 2] No such file or directory: 'x y.tif'"
    >>> message("ValueError in /usr/lib/python3/reader.py at 3/4 of 1/e-"), message("see https://a.org/b")
    ('ValueError in reader.py at 3/4 of 1/e-', 'see https://a.org/b')
    """
    for folder in _folders(path):
        words = words.replace(folder, "")
    words = _QUOTED.sub(r"\1\2\1", words[: 4 * TEXT_CHARACTERS])
    return text(_ABSOLUTE.sub("", words))


def _folders(path: str | None) -> list[str]:
    """The absolute ways to the file, in all spellings that a message may have; the file's name is left."""
    if path is None:
        return []
    found = set()
    for whole in (path, os.path.abspath(path), os.path.realpath(path)):  # noqa: PTH100 - of names that are no UTF-8
        folder = os.path.dirname(whole)  # noqa: PTH120
        if os.path.isabs(folder) and folder != os.path.dirname(folder):  # noqa: PTH117, PTH120
            found |= {
                folder,
                repr(folder)[1:-1],
                _clean(folder),
                os.fsencode(folder).decode("utf-8", "backslashreplace"),
            }
    return sorted((f"{folder}{os.sep}" for folder in found), key=len, reverse=True)


def _bounded(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _WHOLE:
        return float(value) if value.bit_length() < 1024 else None
    if not isinstance(value, Mapping | list | tuple):
        return value
    if depth == _DEPTH:
        return f"[... cut at {_DEPTH} levels]"
    if isinstance(value, Mapping):
        return {text(str(name)): _bounded(item, depth + 1) for name, item in list(value.items())[:ITEMS]}
    items = [_bounded(item, depth + 1) for item in value[:ITEMS]]
    return items if len(value) <= ITEMS else [*items, f"[... cut at {ITEMS} of {len(value)} items]"]


def _clean(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
