"""File names as other systems spell them: backslashes of Windows, decomposed accents of macOS, `~`, and addresses."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from pathlib import Path

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(//|\\\\)")  # two letters or more: C:// is a drive


def is_address(text: str) -> bool:
    r"""Whether `text` is a URL, not a path.

    >>> is_address("https://host/a.png"), is_address("C://a.png"), is_address("a:b.png"), is_address("//server/a.png")
    (True, False, False, False)
    """
    return _ADDRESS.match(text) is not None


def found(path: Path) -> Path:
    """The file that `path` means, where it is spelled otherwise on this disk; `path` itself where there is none.

    A name with backslashes is tried with slashes, where these do not part names anyway; letters with accents count as
    equal whether they are composed (NFC) or not (NFD); `~` is the home folder where nothing is called so.
    """
    if _there(path):
        return path
    tried = path
    if str(path).startswith("~"):
        with contextlib.suppress(RuntimeError):  # of a user that nobody knows
            tried = path.expanduser()
    if os.sep == "/" and "\\" in str(tried) and not _there(tried):
        tried = Path(str(tried).replace("\\", "/"))
    if not _there(tried) and not str(tried).isascii():
        tried = _spelled(tried)
    return tried if _there(tried) or str(path).startswith("~") else path


def _spelled(path: Path) -> Path:
    """`path` with each part that is not there replaced by its neighbour of the same letters."""
    place = Path(path.anchor)
    for part in path.relative_to(place).parts if path.anchor else path.parts:
        here = place / part
        if not _there(here):
            wanted = unicodedata.normalize("NFC", part)
            with contextlib.suppress(OSError, ValueError):
                alike = sorted(one for one in place.iterdir() if unicodedata.normalize("NFC", one.name) == wanted)
                here = alike[0] if alike else here
        place = here
    return place


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False
