"""Every JSON document that the package writes while it is tested is held against the schema that travels with it.

`watch` is called once, by conftest.py, before anything else takes `figures.dumps_json` by name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from noisediag.reports import figures, schemas
from noisediag.reports import json as json_report

seen: Counter[str] = Counter()  # names of schemas, and how many documents were held against each


def watch() -> None:
    """From now on a document that does not fit its schema raises where it is written."""
    figures.dumps_json = _checking(figures.dumps_json)
    json_report.dumps = _checking(json_report.dumps)


def check(document: Mapping[str, Any], name: str | None = None) -> str:
    """Raise ValidationError where `document` does not fit the schema `name`, or the one that it names; its name."""
    name = name or _by_title().get(document.get("schema", ""))
    if name is None:
        name = "darktable" if "noiseprofiles" in document else ""
    if name:
        _validator(name).validate(document)
        seen[name] += 1
    elif "$schema" not in document:  # that is a schema itself
        raise AssertionError(f"no schema for a document of {document.get('schema')!r}")
    return name


def _checking(write: Any) -> Any:
    def checked(*arguments: Any, **options: Any) -> str:
        text = write(*arguments, **options)
        check(json.loads(text))
        return text

    return checked


@cache
def _by_title() -> dict[str, str]:
    return {schemas.title_of(name): name for name in schemas.names()}


@cache
def _validator(name: str) -> Any:
    return jsonschema_rs.validator_for(schemas.load(name))
