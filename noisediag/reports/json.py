"""The report as JSON, schema `noisediag.report/1` (`report.schema.json` beside this module)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from noisediag import __version__
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.reports import SCHEMA, Outcome
from noisediag.reports.bounds import message
from noisediag.reports.document import image_dict, path_fields


def document(outcomes: Iterable[Outcome], checkpoint: CheckpointId | None) -> dict[str, Any]:
    """The whole report: what made it (None: no model, it is measured), and one object an input, in the order given."""
    return {
        "schema": SCHEMA,
        "noisediag": __version__,
        "checkpoint": None if checkpoint is None else {"name": checkpoint.name, "sha256": checkpoint.sha256},
        "images": [image(outcome) for outcome in outcomes],
    }


def image(outcome: Outcome) -> dict[str, Any]:
    """One entry of `images`."""
    if isinstance(outcome, Footprint):
        return image_dict(outcome)
    error = {"code": outcome.code, "message": message(outcome.message, outcome.path)}
    return {**path_fields(outcome.path), "status": "error", "error": error}


def row(outcome: Outcome, checkpoint: CheckpointId) -> dict[str, Any]:
    """One input on its own, for a file of a line each: its entry of `images`, with schema and checkpoint before it."""
    made_by = {"schema": SCHEMA, "checkpoint": {"name": checkpoint.name, "sha256": checkpoint.sha256}}
    return {**made_by, **image(outcome)}


def dumps(outcomes: Iterable[Outcome], checkpoint: CheckpointId | None) -> str:
    """The report as UTF-8 text, one line at the end; never NaN or Infinity."""
    return json.dumps(document(outcomes, checkpoint), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
