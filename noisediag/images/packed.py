"""Files packed with gzip, and content that is in memory: a temporary file, which goes with the last of its planes."""

from __future__ import annotations

import gzip
import tempfile
import weakref
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from noisediag.errors import TooLargeError, TruncatedError, UnreadableError, UnsupportedError

SIGNATURE = b"\x1f\x8b"
MAX_BYTES = 1 << 34  # unpacked
_MAX_RATIO = 200  # noise does not shrink like that; 1032 is gzip's limit
_ALWAYS_BYTES = 1 << 28  # that much is unpacked at any ratio: small pictures with wide borders
_CHUNK = 1 << 20
_PREFIX = "noisediag-"


@dataclass(frozen=True)
class Unpacked:
    """The content of a packed file, or one in memory, at `path` for as long as this object lives."""

    path: Path


def is_packed(path: Path) -> bool:
    """Whether the file begins as gzip's do."""
    with open(path, "rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def unpacked(path: Path) -> Unpacked:
    """The content of the gzip file at `path`.

    Raises TooLargeError for bombs, TruncatedError and UnreadableError for damaged files, UnsupportedError for packed
    files within packed files and for archives of several files.
    """
    content = _empty()
    with open(content.path, "wb") as named:
        _copy(path, named)
    return content


def held(data: bytes) -> Unpacked:
    """`data` as the content of a temporary file."""
    content = _empty()
    content.path.write_bytes(data)
    return content


def _empty() -> Unpacked:
    folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
    content = Unpacked(Path(folder.name, "content"))
    weakref.finalize(content, folder.cleanup)
    return content


def _copy(path: Path, file: IO[bytes]) -> None:
    size = path.stat().st_size
    most = min(MAX_BYTES, max(_ALWAYS_BYTES, _MAX_RATIO * size))
    written = 0
    try:
        with gzip.open(path) as packed:
            while chunk := packed.read(_CHUNK):
                if not written:
                    _refuse(chunk)
                written += len(chunk)
                if written > most:
                    raise TooLargeError(f"its {size} bytes unpack to more than {most} (a bomb?)")
                file.write(chunk)
    except EOFError:
        raise TruncatedError("the gzip stream ends early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableError(f"a damaged gzip file ({error})") from None
    if not written:
        raise UnreadableError("an empty file, packed with gzip")
    file.flush()


def _refuse(head: bytes) -> None:
    if head.startswith(SIGNATURE):
        raise UnsupportedError("a gzip file within a gzip file")
    if head[257:262] == b"ustar":
        raise UnsupportedError("an archive of files (.tar.gz): unpack it first")
