"""What `estimate` is pointed at: files, folders of pictures, and `-`, the bytes that stdin brings."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from noisediag.errors import InputError, UsageError, tell

T = TypeVar("T")

STDIN = Path("-")
MANY = 500  # files of one folder from which on `batch` is the better tool: it shares them among processes
_SHOWN_FOLDERS = 3


@dataclass
class Stdin:
    """The picture that stdin brings, in a file for as long as readers need one."""

    folder: Path | None = None
    _file: Path | None = field(default=None, repr=False)

    def of(self, path: Path) -> Path:
        """Where the bytes of `path` are: itself, or what stdin brought."""
        return self._file if path == STDIN and self._file is not None else path

    def fill(self) -> None:
        """Read all of stdin. Raises UsageError where it is a terminal, or the disk takes no more."""
        if _is_terminal():
            raise UsageError("-: nothing is piped in; `noisediag estimate - < FILE` reads a picture from stdin")
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="noisediag-stdin-"))
            self._file = self.folder / "stdin"
            with self._file.open("wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy, 1 << 20)
        except OSError as error:
            raise UsageError(f"-: what stdin brings cannot be kept: {error.strerror or error}") from error

    def remove(self) -> None:
        """Leave nothing on the disk."""
        folder, self.folder = self.folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def named(self, path: Path, measure: Callable[[Path], T]) -> T:
        """`measure` of what `path` stands for; errors name the path that was given."""
        real = self.of(path)
        try:
            return measure(real)
        except (InputError, UsageError) as error:
            if real == path:
                raise
            raise type(error)(str(error).replace(str(real), str(path))) from None


def _is_terminal() -> bool:
    return sys.stdin.isatty()


@contextlib.contextmanager
def opened(files: Sequence[Path]) -> Iterator[Stdin]:
    """Stdin, read where `files` name it; what is kept of it is gone at the end. Raises UsageError."""
    stdin = Stdin()
    try:
        if STDIN in files:
            if files.count(STDIN) > 1:
                raise UsageError("-: stdin can be read once only")
            stdin.fill()
        yield stdin
    finally:
        stdin.remove()


def expanded(files: Sequence[Path], *, whole_stores: bool) -> tuple[list[Path], bool]:
    """The pictures that `files` stand for, in order, and whether there is a list of them to be shown.

    A folder stands for the pictures in it, by their names. `whole_stores`: a store that holds several pictures counts
    as one. Raises UsageError for a folder with sub-folders or MANY files, which `batch` is for, and without pictures.
    """
    from noisediag.images import pictures
    from noisediag.images.zarr_store import is_store

    found: list[Path] = []
    folders = False
    for file in files:
        if file != STDIN and file.is_dir() and not is_store(file):
            folders = True
            inside = _pictures_of(file)
        else:
            inside = [file]
        found += inside if whole_stores else [picture for one in inside for picture in pictures(one)]
    return found, folders or len(found) > 1


def _pictures_of(folder: Path) -> list[Path]:
    from noisediag.batch.walk import Walk
    from noisediag.images.zarr_store import is_store

    try:
        below = sorted(
            one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".") and not is_store(one)
        )
    except OSError as error:
        raise UsageError(f"{folder}: the folder cannot be listed: {error.strerror or error}") from error
    if below:
        more = ", ..." if len(below) > _SHOWN_FOLDERS else ""
        raise UsageError(
            f"{folder}: has sub-folders ({', '.join(below[:_SHOWN_FOLDERS])}{more}): `noisediag batch` takes all of it"
        )
    listing = Walk(folder).find()
    if not listing.entries:
        raise UsageError(f"{folder}: holds no picture, by the names of its files")
    if len(listing.entries) > MANY:
        raise UsageError(f"{folder}: holds {len(listing.entries)} pictures: `noisediag batch` takes all of it")
    if listing.skipped:
        tell(f"{listing.skipped} others passed over: not pictures by their names", folder)
    return [Path(entry.path) for entry in listing.entries]
