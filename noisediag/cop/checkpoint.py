"""One safetensors file is one model: weights, and in its header everything needed to load it.

Strict: any mismatch is an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from noisediag.engine import Tensor, nn, torch
from noisediag.errors import CheckpointError

FORMAT = "noisediag.checkpoint/1"
METADATA = "noisediag"  # the one entry of the safetensors metadata
PACKAGE = Path(__file__).resolve().parent.parent


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
    for folder in (PACKAGE / "models", PACKAGE.parent / "models"):
        if (folder / f"{name}.safetensors").is_file():
            return folder / f"{name}.safetensors"
    raise CheckpointError(f"the shipped checkpoint {name!r} is missing from this installation; reinstall noisediag")


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
    save_file(tensors, temporary, metadata={METADATA: json.dumps({"format": FORMAT, **header}, sort_keys=True)})
    temporary.replace(path)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises CheckpointError where it is missing, damaged or of another format."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {key: torch.from_numpy(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({type(error).__name__})") from error
    try:
        header = json.loads(metadata.get(METADATA, "{}"))
    except ValueError as error:
        raise CheckpointError(f"{path}: its header is damaged") from error
    if not isinstance(header, dict) or header.pop("format", None) != FORMAT:
        raise CheckpointError(f"{path}: is not a {FORMAT} file")
    return Checkpoint(name=path.stem, sha256=digest, header=header, tensors=tensors)


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
    """The configuration dataclass `kind` recorded under `name`.

    Raises CheckpointError where it is absent or does not fit.
    """
    try:
        return kind(**checkpoint.header["config"][name])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint {checkpoint.name} holds no usable configuration for {name}") from error
