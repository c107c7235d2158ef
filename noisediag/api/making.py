"""`simulate`, a known noise on a clean picture, and `finetune`, a model that reads your own noise."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from noisediag.api.estimating import DEVICES
from noisediag.api.signatures import check_choice, check_number, public
from noisediag.api.sources import Reading, Source, image_of, is_path
from noisediag.errors import CheckpointError, InputError, NoBetterError, NoisediagError, UsageError, WrongTypeError
from noisediag.footprint.file import Footprint

if TYPE_CHECKING:  # both need torch
    from noisediag.studies.simulate import NoiseOptions, Simulation

GENOMES = ("sensor", "paper")
_COMMAND = (
    "import sys; n = int(sys.argv[1]) + 2; sys.path[:], sys.argv[1:] = sys.argv[2:n], sys.argv[n:]; "
    "from noisediag.cli import main; main()"
)
_WRITTEN = (0, 3)  # exit codes of a finetune that wrote its checkpoint
_ERRORS: dict[int, type[NoisediagError]] = {1: NoBetterError, 2: UsageError, 3: InputError, 4: InputError}
_ERRORS[5] = CheckpointError


@public
def simulate(
    clean: Source | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    scene: str | None = None,
    size: tuple[int, int] = (512, 512),
    like: Footprint | str | os.PathLike[str] | None = None,
    shot_gain: float | None = None,
    read_noise: float | None = None,
    multiplicative: float | None = None,
    impulse: float | None = None,
    salt_share: float | None = None,
    quantisation: float | None = None,
    row_noise: float | None = None,
    column_noise: float | None = None,
    correlation: float | None = None,
    exposure: float = 1.0,
    bit_depth: int = 16,
    black: int = 0,
    white: int | None = None,
    frames: int = 1,
    drift: float = 0.0,
    bleach: float = 0.0,
    seed: int = 0,
    force: bool = False,
) -> Simulation:
    """Lay a known noise over a clean picture; the same seed gives the same bytes. Needs torch.

    Args:
        clean: gray or RGB, as `estimate` takes it: floats from 0 to 1 are light, codes are divided by their white.
        output: a .tif, .png or .dng (Bayer) to write, with its truth beside it; force: overwrite it.
        scene: instead of `clean`, a procedural scene, as "photo" or "fluorescence", of `size` (height, width) px.
        like: the noise of a footprint, or of a report (.json); what follows replaces it.
        shot_gain: S, 1/e-: the shot noise has the variance S * signal.
        read_noise, row_noise, column_noise, quantisation: standard deviations and step, fractions of white - black.
        multiplicative: standard deviation of a gain of mean 1; correlation: width of the noise's kernel, px.
        impulse: share of pixels replaced, of them salt_share by white.
        exposure: factor on the light before the noise.
        bit_depth, black, white: of the codes, 8 to 16 bits, DN; white is the largest code unless given.
        frames: of a stack, with noise of their own; drift: px a frame; bleach: share of the light gone at the end.

    Returns:
        `Simulation`: `picture`, the codes, `(H, W)`, `(H, W, 3)` or `(frames, H, W)`; `black_dn`, `white_dn`; `truth`,
        the value of each parameter by name; `to_dict()`.

    Raises:
        UsageError: for options that cannot be carried out; InputError and TypeError as `estimate`.
    """
    from noisediag.studies import simulate as study

    given = {
        "shot_gain": shot_gain,
        "read_noise": read_noise,
        "multiplicative": multiplicative,
        "impulse": impulse,
        "salt_share": salt_share,
        "quantisation": quantisation,
        "row_noise": row_noise,
        "column_noise": column_noise,
        "correlation": correlation,
    }
    numbers = {"exposure": exposure, "bit_depth": bit_depth, "black": black, "white": white, "frames": frames}
    _check_numbers({**given, **numbers, "drift": drift, "bleach": bleach, "seed": seed})
    options = study.SimulateOptions(
        output=None if output is None else Path(output),
        clean=Path(clean) if is_path(clean) else None,
        scene=scene,
        size=size,
        noise=replace(_noise_of(like), **{name: float(value) for name, value in given.items() if value is not None}),
        seed=seed,
        bit_depth=bit_depth,
        black_dn=black,
        white_dn=white,
        exposure=exposure,
        frames=frames,
        drift_px=drift,
        bleach=bleach,
        force=force,
    )
    return study.run(options, _signal_of(clean))


def _check_numbers(values: Mapping[str, object]) -> None:
    for name, value in values.items():
        check_number(name, value)


def _signal_of(clean: Source | None) -> NDArray[np.float64] | None:
    """The light of a clean picture that is no file."""
    if clean is None or is_path(clean):
        return None
    from noisediag.genome.clean import clean_of

    return clean_of(image_of(clean, Reading()), "the clean picture").signal


def _noise_of(like: Footprint | str | os.PathLike[str] | None) -> NoiseOptions:
    from noisediag.studies import simulate as study

    if like is None:
        return study.NoiseOptions()
    if isinstance(like, Footprint):
        return study.noise_of(like.to_dict())
    if is_path(like):
        return study.read_noise_options(Path(like))
    raise WrongTypeError(f"like is a footprint or the path of a report, not {type(like).__qualname__}")


@dataclass(frozen=True)
class Finetuned:
    """What a fine-tuning came to.

    `path`: the checkpoint, for `estimate(..., checkpoint=path)`. `better`: the names that it now reads better, which
    are in it; `verdicts`: of every name, as {"name": ..., "rmse_before": ..., "rmse_after": ..., "rmse_mean": ...,
    "r2_after": ..., "coverage_after": ..., "better": ...}, in the unit of the label, judged on pictures that were not
    learned from; `report`: all of it, as `noisediag finetune --json` prints it.
    """

    path: Path
    better: tuple[str, ...]
    verdicts: tuple[Mapping[str, Any], ...]
    report: Mapping[str, Any]


@public
def finetune(
    labels: Any = None,
    output: str | os.PathLike[str] = "mine.safetensors",
    *,
    repeats: str | os.PathLike[str] | None = None,
    flats: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] | None = None,
    darks: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] | None = None,
    pairs: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    clean: str | os.PathLike[str] | None = None,
    genome: Literal["sensor", "paper"] | None = None,
    from_metadata: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] | None = None,
    shots: int = 100,
    full: bool = False,
    encoder: str | os.PathLike[str] | None = None,
    seed: int = 0,
    force: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Finetuned:
    """Learn to read your own noise from about 100 labelled pictures. Needs torch; it works in a process of its own.

    Args:
        labels: a table with a column `path` and one of labels or more, any names, `name` or `name[unit]`; empty cells
            are not known, words are classes, `group` says which pictures belong together. The path of a CSV; a
            DataFrame of pandas or polars; a mapping of columns, {"path": [...], "dose": [...]}; a mapping of paths to
            their labels, {path: {"dose": 3.0}}; or a list of rows, [{"path": ..., "dose": 3.0}].
        output: the checkpoint to write, .safetensors.
        repeats, flats, darks, pairs, clean, genome, from_metadata: other labels, as `noisediag finetune` takes them:
            files and folders.
        shots: labelled pictures to learn from, at most.
        full: tune the encoder, too, which takes minutes; encoder: another one, a file or the name of one of ours.
        seed: the same seed gives the same model. force: overwrite output.
        checkpoint, device: see `estimate`.

    Returns:
        `Finetuned`: `path`, `better` and `verdicts`.

    Raises:
        NoisediagError: where no name is shown to be better on pictures that were not learned from: nothing is written.
        UsageError: for labels that do not allow it; InputError for a picture that cannot be read; TypeError for labels
            of another kind. What was left out is said in Python warnings.
    """
    check_choice("genome", genome, GENOMES)
    check_choice("device", device, DEVICES)
    options: dict[str, Any] = {
        "repeats": repeats,
        "flats": flats,
        "darks": darks,
        "pairs": pairs,
        "clean": clean,
        "genome": genome,
        "from-metadata": from_metadata,
        "shots": shots,
        "encoder": encoder,
        "seed": seed,
        "checkpoint": checkpoint,
        "device": device,
    }
    arguments = ["finetune", "--json", "-o", os.fspath(output), *(["--full"] if full else [])]
    arguments += ["--force"] if force else []
    for name, value in options.items():
        if value is not None:
            arguments += [f"--{name}", *_words(name, value)]
    with tempfile.TemporaryDirectory(prefix="noisediag-") as folder:
        if labels is not None:
            table = Path(labels) if is_path(labels) else _table(labels, Path(folder, "labels.csv"))
            arguments += ["--labels", str(table)]
        report = _ran(arguments, hidden=str(Path(folder, "labels.csv")))
    verdicts = tuple(report["verdicts"])
    better = tuple(verdict["name"] for verdict in verdicts if verdict["better"])
    return Finetuned(Path(output), better, verdicts, report)


def _words(name: str, value: Any) -> list[str]:
    """`value` as words of the command line."""
    if isinstance(value, (str, os.PathLike)):
        return [os.fspath(value)]
    if isinstance(value, (int, np.integer)):
        return [str(int(value))]
    if isinstance(value, Iterable):
        found = list(value)
        if all(is_path(one) for one in found):
            return [os.fspath(one) for one in found]
    raise WrongTypeError(f"{name.replace('-', '_')} takes files or folders by their paths, not {value!r:.60}")


def _ran(arguments: Sequence[str], *, hidden: str) -> dict[str, Any]:
    """What the command prints. It runs in a process of its own: this one may compute without torch, and go on so.

    `hidden`: the path of what the caller does not know as a file. Raises what its exit code stands for.
    """
    command = [sys.executable, "-c", _COMMAND, str(len(sys.path)), *sys.path, *arguments]
    environment = {**os.environ, "NOISEDIAG_ENGINE": "torch"}
    done = subprocess.run(command, capture_output=True, check=False, env=environment, stdin=subprocess.DEVNULL)
    told = done.stderr.decode("utf-8", "replace").replace(hidden, "labels")
    lines = [line.removeprefix("noisediag: ") for line in told.splitlines() if line.startswith("noisediag: ")]
    if done.returncode not in _WRITTEN or not done.stdout.strip():
        reason = lines[-1] if lines else told.strip().splitlines()[-1] if told.strip() else "it ended without a word"
        raise _ERRORS.get(done.returncode, NoisediagError)(reason)
    for line in lines:
        warnings.warn(line.removeprefix("warning: "), stacklevel=4)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _table(labels: Any, path: Path) -> Path:
    """`labels` as the CSV at `path`, its pictures by absolute paths. Raises WrongTypeError for what is no table."""
    rows = _rows(labels)
    names = list(dict.fromkeys(name for row in rows for name in row))
    if "path" not in names:
        raise UsageError("labels: the column path is missing")
    try:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, names, restval="")
            writer.writeheader()
            writer.writerows({name: _cell(name, value) for name, value in row.items()} for row in rows)
    except UnicodeEncodeError:
        raise UsageError("labels: a path or a word in them is not UTF-8") from None
    return path


def _rows(labels: Any) -> list[dict[str, Any]]:
    """The rows of a table in any of the forms that `finetune` takes."""
    if hasattr(labels, "columns") and hasattr(labels, "__getitem__"):
        columns = {str(name): list(labels[name]) for name in labels.columns}
        if "path" not in columns and getattr(getattr(labels, "index", None), "name", None) == "path":
            columns["path"] = list(labels.index)
        return _of_columns(columns)
    if isinstance(labels, Mapping) and "path" in labels:
        for name, column in labels.items():
            if isinstance(column, (str, bytes)) or not isinstance(column, Iterable):
                raise WrongTypeError(f"labels: the column {name} is a list, not {column!r:.60}")
        return _of_columns({str(name): list(column) for name, column in labels.items()})
    if isinstance(labels, Mapping) and all(isinstance(row, Mapping) for row in labels.values()):
        return [{"path": path, **row} for path, row in labels.items()]
    if isinstance(labels, (list, tuple)) and all(isinstance(row, Mapping) for row in labels):
        return [dict(row) for row in labels]
    raise WrongTypeError(
        "labels are the path of a CSV, a DataFrame, a mapping {'path': [...], name: [...]} or {path: {name: value}}, "
        f"or a list of rows [{{'path': ..., name: value}}]; not {type(labels).__qualname__}"
    )


def _of_columns(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise UsageError(f"labels: columns of {' and '.join(map(str, sorted(lengths)))} rows")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _cell(name: str, value: Any) -> str:
    """`value` as a cell: empty where it is not known."""
    if value is None or repr(value) in ("<NA>", "NaT") or (isinstance(value, (float, np.floating)) and value != value):
        return ""
    if name == "path":
        if not is_path(value):
            raise WrongTypeError(f"labels: {value!r:.60} in the column path is no path")
        return os.path.abspath(os.fspath(value))  # noqa: PTH100 - no link is followed
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, str):
        return re.sub(r"\s+", " ", value)
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        raise WrongTypeError(f"labels: {value!r:.60} in the column {name} is neither a number nor a word") from None
