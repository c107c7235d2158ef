"""The JSON Schemas (draft 2020-12) of all that noisediag writes as JSON; they travel with the package.

Each stands in NAME.schema.json beside this module, but for those of lines, which are made of the report's. They are of
this version: keys may be added under the same number, so a reader should pass over those it does not know; none is
taken away, and none changes its meaning, without a new number.
"""

from __future__ import annotations

import copy
import json
from importlib import resources
from typing import Any

Schema = dict[str, Any]

ROW, PART = "row", "part"
_ENDING = ".schema.json"
_CRC32 = {"type": "string", "pattern": "^[0-9a-f]{8}$", "description": "checksum of the line before it"}


def names() -> tuple[str, ...]:
    """What `load` takes: `report` first, the others in the order of the alphabet."""
    files = (entry.name for entry in resources.files(__package__).iterdir())
    found = {name.removesuffix(_ENDING) for name in files if name.endswith(_ENDING)} | {ROW, PART}
    return ("report", *sorted(found - {"report"}))


def load(name: str) -> Schema:
    """The schema called `name`, one of `names`. Raises LookupError where there is none."""
    if name not in names():
        raise LookupError(f"no schema {name!r}; there are: {', '.join(names())}")
    if name == ROW:
        return _row()
    if name == PART:
        return _part()
    schema: Schema = json.loads(resources.files(__package__).joinpath(name + _ENDING).read_text("utf-8"))
    return schema


def title_of(name: str) -> str:
    """What documents of the schema `name` say under `schema`, or what else they are known by."""
    return str(load(name)["title"])


def _row() -> Schema:
    """A line of the JSONL report: an entry of `images`, with schema and checkpoint before it."""
    report = load("report")
    made_by = {
        "schema": report["properties"]["schema"],
        "checkpoint": {
            **report["properties"]["checkpoint"]["oneOf"][1],
            "description": report["properties"]["checkpoint"]["description"],
        },
    }
    return _lines(
        "noisediag.report/1, a line of JSONL",
        "A line of what `batch` and `merge` write: one input, as in `images` of a report.",
        made_by,
    )


def _part() -> Schema:
    """A line of a shard's part: the first says which, the others are rows with their cells beside them."""
    row = _row()
    run = {"type": "object", "description": "what must be the same in all parts"}
    whole = {"type": "integer", "minimum": 0}
    part = {
        "type": "object",
        "description": "which part of which run it is",
        "required": ["format", "index", "count", "rows", "run"],
        "properties": {
            "format": {"const": "noisediag.part/2", "description": "name and number of this format"},
            "index": {**whole, "minimum": 1, "description": "which part it is, from 1"},
            "count": {**whole, "minimum": 1, "description": "how many parts there are"},
            "rows": {**whole, "description": "how many lines follow"},
            "run": run,
        },
        "additionalProperties": False,
    }
    head = {
        "type": "object",
        "description": "The first line.",
        "required": ["part", "crc32"],
        "properties": {"part": part, "crc32": _CRC32},
        "additionalProperties": False,
    }
    cell = {"type": ["string", "number", "null"]}
    cells = {
        "type": "array",
        "items": {"type": "array", "items": cell},
        "description": "the lines of the CSV report, a list a plane, in the order of its columns",
    }
    made_by = {key: row["$defs"]["row"]["properties"][key] for key in ("schema", "checkpoint")}
    schema = _lines(
        "noisediag.part/2", "A line of what `batch --shard` writes.", made_by, {"cells": cells, "crc32": _CRC32}
    )
    schema["$defs"]["head"] = head
    return {**schema, "oneOf": [{"$ref": "#/$defs/head"}, *schema["oneOf"]]}


def _lines(title: str, about: str, before: Schema, after: Schema | None = None) -> Schema:
    """The schema of lines that are an `image` or a `failed` of the report, with more keys."""
    report = load("report")
    definitions: Schema = copy.deepcopy(report["$defs"])
    for name, source in (("row", "image"), ("failed_row", "failed")):
        entry = copy.deepcopy(report["$defs"][source])
        entry["required"] = [*before, *entry["required"], *(after or {})]
        entry["properties"] = {**before, **entry["properties"], **(after or {})}
        definitions[name] = entry
    return {
        "$schema": report["$schema"],
        "title": title,
        "description": about,
        "oneOf": [{"$ref": "#/$defs/row"}, {"$ref": "#/$defs/failed_row"}],
        "$defs": definitions,
    }
