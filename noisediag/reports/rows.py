"""What is kept of one input: its JSON row and its cells, known to be writable in every format before they count.

A row that fails when the report is written would cost the report, after all the work; so it is encoded and compared
with the schema when it is made.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs

from noisediag.errors import OUT_OF_MEMORY, one_line
from noisediag.footprint.file import CheckpointId
from noisediag.reports import SCHEMA, Failure, Outcome, bounds, csv
from noisediag.reports import json as json_report
from noisediag.reports.reading import row_path

Reply = dict[str, Any]  # {"row": what json.row gives, "cells": what csv.cells gives}

ROW_BYTES = 64_000_000  # of one row and its cells as JSON
_CELL_CHARACTERS = 131_072  # what Python's csv module reads
_HEAD = frozenset(("schema", "checkpoint"))  # of a row, before what it is in a report's `images`
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PATH, _STATUS = csv.COLUMNS.index("path"), csv.COLUMNS.index("status")


def encoded(outcome: Outcome, checkpoint: CheckpointId) -> Reply:
    """The row of `outcome`, or, where it cannot be written in every format, that of the Failure which says so."""
    return _tried(outcome, checkpoint)[1]


def writable(outcome: Outcome, checkpoint: CheckpointId) -> Outcome:
    """`outcome`, or the Failure that `encoded` makes of it."""
    return _tried(outcome, checkpoint)[0]


def check(reply: object) -> None:
    """Raise ValueError, in words, where `reply` is no row of a report or one of the formats cannot hold it."""
    if not (isinstance(reply, dict) and reply.keys() == {"row", "cells"} and isinstance(reply["row"], dict)):
        raise ValueError("no row and its cells")
    try:
        size = len(json.dumps(reply, ensure_ascii=False, allow_nan=False).encode())
    except UnicodeEncodeError:
        raise ValueError("a text in it is no Unicode") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if size > ROW_BYTES:
        raise ValueError(f"it has {size} bytes, {ROW_BYTES} at most")
    _check_row(reply["row"])
    _check_cells(reply["cells"], reply["row"])


def _tried(outcome: Outcome, checkpoint: CheckpointId) -> tuple[Outcome, Reply]:
    try:
        return outcome, _made(outcome, checkpoint)
    except MemoryError:
        failure = Failure(_path(outcome), "memory", OUT_OF_MEMORY)
    except Exception as error:  # a text that nobody has thought of must cost one file, not the report
        failure = Failure(_path(outcome), "unsupported", f"its row cannot be written: {one_line(str(error))}")
    return failure, _made(failure, checkpoint)


def _made(outcome: Outcome, checkpoint: CheckpointId) -> Reply:
    reply = {"row": json_report.row(outcome, checkpoint), "cells": csv.cells(outcome, checkpoint)}
    check(reply)
    return reply


def _path(outcome: Outcome) -> str:
    return outcome.path or ""


def _check_row(row: Mapping[str, Any]) -> None:
    checkpoint = row.get("checkpoint")
    if row.get("schema") != SCHEMA or not (
        isinstance(checkpoint, dict)
        and checkpoint.keys() == {"name", "sha256"}
        and isinstance(checkpoint["name"], str)
        and isinstance(checkpoint["sha256"], str)
        and _DIGEST.fullmatch(checkpoint["sha256"])
    ):
        raise ValueError(f"it does not say that it is of {SCHEMA}, and of which checkpoint")
    image = {key: value for key, value in row.items() if key not in _HEAD}
    try:
        _validator("image" if row.get("status") == "ok" else "failed").validate(image)
    except jsonschema_rs.ValidationError as error:
        where = "/".join(str(step) for step in error.instance_path) or "the row"
        raise ValueError(f"{where} is not as the schema says: {bounds.text(error.message, 200)}") from None
    if not isinstance(row["path"], str) or (
        "path_bytes" in row
        and base64.b64decode(row["path_bytes"], validate=True).decode("utf-8", "backslashreplace") != row["path"]
    ):
        raise ValueError("its path is none")
    row_path(row)


def _check_cells(cells: object, row: Mapping[str, Any]) -> None:
    wanted = len(row["planes"]) if row["status"] == "ok" else 1
    if not isinstance(cells, list) or len(cells) != wanted:
        raise ValueError("it has another number of lines than of planes")
    for line in cells:
        if not isinstance(line, list) or len(line) != len(csv.COLUMNS):
            raise ValueError("it has another number of cells than there are columns")
        for column, cell in zip(csv.COLUMNS, line, strict=True):
            if (fault := _fault(cell)) is not None:
                raise ValueError(f"its {column} is {fault}")
        if (line[_PATH], line[_STATUS]) != (csv.safe_text(row["path"]), row["status"]):
            raise ValueError("its cells are of another file")


def _fault(cell: object) -> str | None:
    if isinstance(cell, str):
        return "too long a text" if len(cell) > _CELL_CHARACTERS else None
    if isinstance(cell, int) and not isinstance(cell, bool):
        return "too large a number" if not -(2**63) <= cell < 2**63 else None
    if isinstance(cell, float):
        return None if math.isfinite(cell) else "no finite number"
    return None if cell is None else "no value of a table"


@cache
def _validator(name: str) -> Any:
    """Of one of the objects that the schema defines."""
    schema = json.loads(resources.files(__package__).joinpath("report.schema.json").read_text("utf-8"))
    kept = {key: schema[key] for key in ("$schema", "$defs")}
    return jsonschema_rs.validator_for({**kept, "$ref": f"#/$defs/{name}"})
