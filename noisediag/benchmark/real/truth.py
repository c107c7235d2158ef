"""Which noise the real files of a folder have: `truth.json` beside them.

    {"sets": {"FOLDER": {...}, ...}}

FOLDER is a folder beside truth.json. Files are named by path or by name alone, with or without their ending, and may
lie in folders below. All noise is that of a single frame, variances in DN^2 of the stored codes. A set may give its
scale with `bit_depth` (white is 2^bit_depth - 1) and `black_dn` or `dark_mean` (black, DN); what it does not give is
assumed, as for any file. A set has one of

- `levels`: [{"frames": [name, ...], "mean_dn": m, "temporal_var": t, "fixed_pattern_var": f}, ...], flat fields: the
  variance at the signal m is t + f;
- `files`: {name: {"a": a, "b": b}, ...}: the variance is a*signal + b, at each signal of the file;
- `per_plane`: {"(row,column) any text": {"a": a, "b": b}, ...}: Bayer mosaics and the line of each position of the
  colour filters; all pictures of the folder, or those of an optional list `frames`; a stack holds one mosaic a frame;
- `sigma_dn`, with `at_mean`: frames whose noise does not depend on the signal, so that no gain can be told from them;
  all pictures of the folder, or those of `frames`; a stack is one file;
- `files`: {"NAME_real.EXT": {"std_by_level": {channel: [[level, sigma], ...], ...}}, ...}: processed 8-bit pictures,
  each beside the mean of many shots, NAME_mean.EXT. The noise is measured from the pair; what is stated has to agree.

Sets of another kind are named and left out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisediag.errors import UsageError
from noisediag.genome.clean import SUFFIXES

FILE = "truth.json"
PICTURES = SUFFIXES | {".fit", ".fts"}
NOISY, MEAN = "_real", "_mean"  # in the names of a pair
STATED = "std_by_level"
_POSITION = re.compile(r"\((\d+),\s*(\d+)\)")


@dataclass(frozen=True)
class VarianceLine:
    """Variance a*signal + b, DN^2, of one plane; `at_dn`: the one signal it holds at, None for every one.

    `label`, `row` and `column`: of the plane in a mosaic; an empty label is a whole picture.
    """

    a: float
    b: float
    at_dn: float | None = None
    label: str = ""
    row: int = 0
    column: int = 0


@dataclass(frozen=True)
class RealFile:
    """One file of a set; `lines` holds one for a plain picture, one a position for a mosaic.

    `path` is None where no file, or more than one, has the `name`: `missing` says which.
    """

    set_name: str
    name: str
    path: Path | None
    lines: tuple[VarianceLine, ...]
    black_dn: float | None
    white_dn: float | None
    gain_absent: bool = False
    missing: str = ""

    @property
    def mosaic(self) -> bool:
        return bool(self.lines[0].label)


@dataclass(frozen=True)
class RealPair:
    """A processed picture and the mean of many shots of its scene.

    `levels`: the stated (level, sigma), 8-bit codes, by channel. A path is None as in `RealFile`.
    """

    set_name: str
    name: str
    noisy: Path | None
    mean: Path | None
    levels: Mapping[str, tuple[tuple[float, float], ...]]
    missing: str = ""


@dataclass(frozen=True)
class RealTruth:
    """All files and pairs with known noise, and a line for each set that was left out."""

    files: tuple[RealFile, ...]
    pairs: tuple[RealPair, ...]
    notes: tuple[str, ...]


def read_truth(folder: Path) -> RealTruth:
    """The files that `folder`/truth.json knows the noise of. Raises UsageError where it is missing or malformed."""
    path = folder / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{path}: no such file: it must say which noise the files of {folder} have") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    files: list[RealFile] = []
    pairs: list[RealPair] = []
    notes: list[str] = []
    try:
        sets = _mapping(document, "the file")["sets"]
        for name, stated in _mapping(sets, "sets").items():
            found = list(_files(folder, name, _mapping(stated, name)))
            files += found
            paired = list(_pairs(folder, name, stated))
            pairs += paired
            if not found and not paired:
                kind = re.split(r"[:;(]", str(stated.get("kind", "no kind")))[0].strip()
                notes.append(f"{name}: left out, no noise of single frames stated ({kind})")
    except KeyError as error:
        raise UsageError(f"{path}: {error.args[0]!r} is missing") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    if not files and not pairs:
        raise UsageError(f"{path}: states no noise of single frames (levels, files, per_plane or sigma_dn)")
    return RealTruth(tuple(files), tuple(pairs), tuple(notes))


def _files(root: Path, set_name: str, stated: Mapping[str, Any]) -> Iterable[RealFile]:
    folder = root / set_name
    scale = {"black_dn": _black(stated, set_name), "white_dn": _white(stated, set_name)}

    def file(name: str, lines: tuple[VarianceLine, ...], *, gain_absent: bool = False) -> RealFile:
        path, missing = _find(folder, name)
        return RealFile(set_name, name, path, lines, **scale, gain_absent=gain_absent, missing=missing)

    if "levels" in stated:
        for level in stated["levels"]:
            variance = _value(level, "temporal_var", set_name) + _value(level, "fixed_pattern_var", set_name)
            line = (_line(0.0, variance, set_name, at_dn=_value(level, "mean_dn", set_name)),)
            yield from (file(name, line) for name in _names(level["frames"], set_name))
    elif "per_plane" in stated:
        planes = _mapping(stated["per_plane"], set_name)
        lines = tuple(_plane_line(label, entry, set_name) for label, entry in planes.items())
        if not lines:
            raise ValueError(f"{set_name}: per_plane names no plane")
        yield from (file(name, lines) for name in _listed(folder, stated, set_name))
    elif "sigma_dn" in stated:
        at_dn = _value(stated, "at_mean", set_name)
        line = (_line(0.0, _value(stated, "sigma_dn", set_name) ** 2, set_name, at_dn=at_dn),)
        yield from (file(name, line, gain_absent=True) for name in _listed(folder, stated, set_name))
    elif "files" in stated:
        for name, entry in _mapping(stated["files"], set_name).items():
            if {"a", "b"} <= set(_mapping(entry, name)):
                yield file(name, (_line(_value(entry, "a", name), _value(entry, "b", name), name),))


def _pairs(root: Path, set_name: str, stated: Mapping[str, Any]) -> Iterable[RealPair]:
    for name, entry in _mapping(stated.get("files", {}), set_name).items():
        if STATED not in _mapping(entry, name):
            continue
        levels = {
            channel: tuple(_level(level, f"{name}: {channel}") for level in levels)
            for channel, levels in _mapping(entry[STATED], name).items()
        }
        if NOISY not in name:
            raise ValueError(f"{set_name}: {name!r} does not hold {NOISY!r}, so that it has no pair")
        before, after = name.rsplit(NOISY, 1)
        noisy, no_noisy = _find(root / set_name, name)
        mean, no_mean = _find(root / set_name, f"{before}{MEAN}{after}")
        missing = no_noisy or (f"its mean picture: {no_mean}" if no_mean else "")
        yield RealPair(set_name, name, noisy, mean, levels, missing)


def _level(entry: Any, where: str) -> tuple[float, float]:
    if not isinstance(entry, list) or len(entry) != 2:
        raise TypeError(f"{where}: {entry!r} is no pair of level and sigma")
    level, sigma = (_number(value, where) for value in entry)
    if sigma <= 0:
        raise ValueError(f"{where}: a sigma of {sigma:g}")
    return level, sigma


def _black(stated: Mapping[str, Any], set_name: str) -> float | None:
    key = "black_dn" if "black_dn" in stated else "dark_mean"
    return _value(stated, key, set_name) if key in stated else None


def _white(stated: Mapping[str, Any], set_name: str) -> float | None:
    if "bit_depth" not in stated:
        return None
    bits = _value(stated, "bit_depth", set_name)
    if bits not in range(1, 33):
        raise ValueError(f"{set_name}: bit_depth is {bits:g}, not one of 1 to 32")
    return float(2**bits - 1)


def _plane_line(label: str, entry: Any, set_name: str) -> VarianceLine:
    at = _POSITION.match(label)
    if at is None:
        raise ValueError(f"{set_name}: {label!r} does not start with a position (row,column)")
    a, b = _value(entry, "a", set_name), _value(entry, "b", set_name)
    return VarianceLine(a, b, label=label, row=int(at[1]), column=int(at[2]))


def _line(a: float, b: float, where: str, *, at_dn: float | None = None) -> VarianceLine:
    if a == 0 and b <= 0:
        raise ValueError(f"{where}: a variance of {b:g}")
    return VarianceLine(a, b, at_dn)


def _listed(folder: Path, stated: Mapping[str, Any], set_name: str) -> list[str]:
    """The names of a list `frames`, else of all pictures in the folder and below, in the order of their numbers."""
    if "frames" in stated:
        return _names(stated["frames"], set_name)
    found = [path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and not path.name.startswith(".")]
    return sorted((str(path.relative_to(folder)) for path in found), key=_natural)


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part], name


def _find(folder: Path, name: str) -> tuple[Path | None, str]:
    """The one file of that path, name or stem, with an empty reason; None and the reason where there is not one."""
    if (folder / name).is_file():
        return folder / name, ""
    last = Path(name).name
    found = sorted(path for path in folder.rglob("*") if path.is_file() and last in (path.name, path.stem))
    if len(found) == 1:
        return found[0], ""
    return None, f"{len(found)} files are called so" if found else "no such file"


def _names(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"{where}: frames is no list of names")
    return value


def _value(entry: Any, key: str, where: str) -> float:
    return _number(_mapping(entry, where)[key], f"{where}: {key}")


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{what} is {value!r}, no number")
    return float(value)


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{what}: no JSON object")
    return value
