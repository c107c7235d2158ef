"""One safetensors file is one model: weights, and in its header everything needed to load it.

Strict: any mismatch is an error. A file that we ship is known by its digest; every other one holds a checksum of all
its bytes, so that no bit that flips becomes another number.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from noisediag.engine import Tensor, nn, torch
from noisediag.errors import CheckpointError

FORMAT = "noisediag.checkpoint/1"
METADATA = "noisediag"  # the one entry of the safetensors metadata
CHECKSUM = "checksum"  # in it: SHA-256 of the file in which 64 zeros stand at its place
SUMS = "SHA256SUMS"  # beside the shipped files, as `sha256sum *.safetensors` writes it
PACKAGE = Path(__file__).resolve().parent.parent
MAX_BYTES = 1 << 29  # of a file; ours have a few MB
MAX_HEADER_BYTES = 1 << 22
MAX_NUMBER = 1e6  # of calibration: shifts of logits, factors, limits
MAX_DEPTH = 8  # of its tables
# Of configurations, by the name of the field, whatever the part: above them nothing is allocated.
LARGEST = {
    "width": 512,
    "heads": 32,
    "passes": 16,
    "embedding": 1024,
    "projection": 1024,
    "places": 1024,
    "sensor_places": 1024,
    "evidence": 4096,
    "inputs": 4096,
    "absolute": 1024,
    "doubts": 4096,
    "hidden": 2048,
    "bottleneck": 512,
}
_ZEROS = "0" * 64


@dataclass(frozen=True)
class Checkpoint:
    """`header` is plain JSON: kind, configuration, parameters in head order, normalisation, calibration, recipe."""

    name: str
    sha256: str
    header: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def shipped(name: str) -> Path:
    """The path of a checkpoint that travels with noisediag: inside the wheel, or in `models/` of a source tree.

    Raises CheckpointError where it is in neither.
    """
    for folder in _shipped_folders():
        if (folder / f"{name}.safetensors").is_file():
            return folder / f"{name}.safetensors"
    raise CheckpointError(f"the shipped checkpoint {name!r} is missing from this installation; reinstall noisediag")


def _shipped_folders() -> tuple[Path, ...]:
    return PACKAGE / "models", PACKAGE.parent / "models"


def save(path: Path, modules: Mapping[str, nn.Module], header: Mapping[str, Any]) -> None:
    """Write the weights of `modules`, each under its own prefix, and `header`: the whole file, or none.

    Training alone does this: it needs torch.
    """
    from safetensors.torch import save_file

    tensors = {
        f"{prefix}.{name}": t.contiguous()
        for prefix, module in modules.items()
        for name, t in module.state_dict().items()
    }
    temporary = path.with_name(path.name + ".tmp")
    # One entry: safetensors writes several in random order, and the same training must give the same bytes.
    entry = json.dumps({"format": FORMAT, **header, CHECKSUM: _ZEROS}, sort_keys=True)
    save_file(tensors, temporary, metadata={METADATA: entry})
    _seal(temporary)
    temporary.replace(path)


def _seal(path: Path) -> None:
    """Put the checksum at its place, and all on the disk."""
    content = path.read_bytes()
    place = content.index(_place_of(_ZEROS))
    with path.open("r+b") as file:
        file.seek(place)
        file.write(_place_of(hashlib.sha256(content).hexdigest()))
        file.flush()
        os.fsync(file.fileno())


def _place_of(checksum: str) -> bytes:
    """How the entry stands in the file: a JSON text within JSON."""
    return json.dumps(json.dumps({CHECKSUM: checksum})[1:-1])[1:-1].encode()


def read(path: Path) -> Checkpoint:
    """Read a checkpoint, all of it once.

    Raises CheckpointError where it is missing, no regular file, damaged, of another format, or holds a number that is
    none.
    """
    content = _content(path)
    digest = hashlib.sha256(content).hexdigest()
    header = _header(path, content)
    _refuse_changed(path, content, digest, header.pop(CHECKSUM, None))
    try:
        arrays = {key: np.array(values) for key, values in load(content).items()}  # of our own: they may be written to
        tensors = {key: torch.from_numpy(values) for key, values in arrays.items()}
    except (SafetensorError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({type(error).__name__})") from error
    for key, values in arrays.items():
        if not np.isfinite(values).all():
            raise CheckpointError(f"{path}: {key!r} holds a weight that is no number")
    return Checkpoint(name=path.stem, sha256=digest, header=header, tensors=tensors)


def _content(path: Path) -> bytes:
    """The bytes of a regular file; a pipe or device is not waited for."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise CheckpointError(f"{path}: a checkpoint is a regular file")
            if found.st_size > MAX_BYTES:
                raise CheckpointError(f"{path}: {found.st_size} bytes are no checkpoint")
            return file.read(MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise CheckpointError(f"{path}: not a readable checkpoint ({reason})") from error


def _header(path: Path, content: bytes) -> dict[str, Any]:
    """The entry of ours in the metadata of safetensors, whose header stands behind eight bytes that say its length."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, MAX_HEADER_BYTES):
        raise CheckpointError(f"{path}: not a readable checkpoint (its header is cut off or too long)")
    try:
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        header = json.loads(metadata.get(METADATA, "{}"), parse_constant=_no_number)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its header is damaged") from error
    if not isinstance(header, dict) or header.pop("format", None) != FORMAT:
        raise CheckpointError(f"{path}: is not a {FORMAT} file")
    return header


def _no_number(word: str) -> None:
    raise ValueError(word)


def _refuse_changed(path: Path, content: bytes, digest: str, checksum: Any) -> None:
    """Raise CheckpointError for a file whose bytes are neither those it was written with, nor those of a shipped one.

    Those in the place of a shipped file must be the shipped ones, whatever their own checksum.
    """
    known = _known()
    for folder, name in known:
        if path.name == name and path.resolve() == (folder / name).resolve() and known[folder, name] != digest:
            raise CheckpointError(f"{path}: is damaged, or not the one that was shipped; reinstall noisediag")
    if digest in known.values():
        return
    if not isinstance(checksum, str) or len(checksum) != len(_ZEROS):
        raise CheckpointError(f"{path}: holds no checksum: it is damaged, or an older version of noisediag wrote it")
    unsealed = content.replace(_place_of(checksum), _place_of(_ZEROS), 1)
    if hashlib.sha256(unsealed).hexdigest() != checksum:
        raise CheckpointError(f"{path}: is damaged: its bytes are not those that were written")


def _known() -> dict[tuple[Path, str], str]:
    """Digests of the shipped files, by folder and name."""
    known: dict[tuple[Path, str], str] = {}
    for folder in _shipped_folders():
        try:
            lines = (folder / SUMS).read_text("ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        known |= {(folder, name): digest for digest, name in (line.split(maxsplit=1) for line in lines if " " in line)}
    return known


def load_into(checkpoint: Checkpoint, modules: Mapping[str, nn.Module]) -> None:
    """Put the weights into `modules`; every tensor must find its place and none may be missing.

    Raises CheckpointError otherwise.
    """
    expected = {f"{prefix}.{name}": t for prefix, module in modules.items() for name, t in module.state_dict().items()}
    if set(expected) != set(checkpoint.tensors):
        odd = sorted(set(expected) ^ set(checkpoint.tensors))
        raise CheckpointError(
            f"checkpoint {checkpoint.name} does not match this version: {len(odd)} tensors differ, first {odd[0]}"
        )
    for key, tensor in checkpoint.tensors.items():
        if expected[key].shape != tensor.shape or expected[key].dtype != tensor.dtype:
            raise CheckpointError(
                f"checkpoint {checkpoint.name} does not match this version: {key} is {tuple(tensor.shape)}, "
                f"expected {tuple(expected[key].shape)}"
            )
    for prefix, module in modules.items():
        module.load_state_dict(
            {k.removeprefix(f"{prefix}."): t for k, t in checkpoint.tensors.items() if k.startswith(f"{prefix}.")}
        )


def config(checkpoint: Checkpoint, name: str, kind: type[Any]) -> Any:
    """The configuration dataclass `kind` recorded under `name`, its values of the declared types and within LARGEST.

    Raises CheckpointError where it is absent or does not fit.
    """
    try:
        values = dict(checkpoint.header["config"][name])
        found = kind(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"checkpoint {checkpoint.name} holds no usable configuration for {name}") from error
    for field in fields(kind):
        value = getattr(found, field.name)
        if not _fits(field.name, str(field.type), value):
            raise CheckpointError(f"checkpoint {checkpoint.name}: {name} cannot have {field.name} {value!r:.40}")
    return found


def _fits(name: str, declared: str, value: Any) -> bool:
    if declared == "bool":
        return isinstance(value, bool)
    if declared == "float":
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
    return type(value) is int and 1 <= value <= LARGEST[name]


def calibration(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """The tables of calibration, by their names. Raises CheckpointError where a number in them cannot be one."""
    found = checkpoint.header.get("calibration")
    if not isinstance(found, dict):
        raise CheckpointError(f"checkpoint {checkpoint.name} has no interval calibration")
    for name, table in found.items():
        for place, value in _leaves(table, (name,)):
            depth, pair = _CALIBRATION.get(place[: 2 if name == "rendered" else 1], (len(place), None))
            if len(place) != depth or not _is_calibration(value, pair=pair):
                said = f"{value!r:.40} of {'.'.join(place)!r:.80}"
                raise CheckpointError(f"checkpoint {checkpoint.name}: its calibration says {said}")
    return found


# Of each table: how many names lead to a value, and whether that is a pair of factors of the halves of an interval.
_CALIBRATION: dict[tuple[str, ...], tuple[int, bool]] = {
    ("intervals",): (3, True),
    ("limits",): (3, False),
    ("alarms",): (2, False),
    ("doubts",): (2, False),
    ("doubts_raw",): (2, False),
    ("rendered", "curve"): (2, True),
    ("rendered", "thresholds"): (3, False),
}


def _leaves(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is no table, and the names on the way to it."""
    if isinstance(value, dict) and len(place) < MAX_DEPTH:
        for name, inner in value.items():
            yield from _leaves(inner, (*place, name))
    else:
        yield place, value


def _is_calibration(value: Any, *, pair: bool | None) -> bool:
    numbers = value if isinstance(value, list) and pair is not False else [value]
    if pair is not None and len(numbers) != 1 + pair:
        return False
    return all(
        isinstance(number, int | float) and not isinstance(number, bool) and -MAX_NUMBER <= number <= MAX_NUMBER
        for number in numbers
    ) and not (pair and min(numbers) < 0)
