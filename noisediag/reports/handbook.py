"""The handbook's page `json-and-csv`, made from the schemas and the columns of the CSV report.

python -m noisediag.reports.handbook > noisediag/guide/json-and-csv.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from noisediag.reports import columns, schemas

_HEAD = """# JSON and CSV, field by field

This page is made from the schemas that travel with the package. Print one of them, for a validator or a code generator,
with:

```console
$ noisediag schema check
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "noisediag.check/1",
  "type": "object",
  "description": "What `check --json` prints: stated numbers beside estimated ones.",
...
```

`noisediag schema` without a name lists them. All JSON is UTF-8 without NaN or Infinity, numbers have six significant
digits, and what is unknown is `null`, never 0. Signals and sigmas are fractions of white - black (0 is black, 1 is
white) unless a name or a unit says otherwise.

A document says under `schema` which one it follows. Under the same number keys may be added, so pass over those that
you do not know; none is taken away or changes its meaning without a new number. A path that is not UTF-8 has `\\xNN`
escapes, and its bytes stand beside it in base64.
"""
_LINES = """## row, part

A line of JSONL, `row`, is an `image` or a `failed` of the report, with `schema` and `checkpoint` before it.

The file of a shard, `part`, begins with a line that says which part of which run it is. Its other lines are rows with
`cells`, the lines of the CSV report, and each line ends with its checksum, `crc32`. `merge` reads it. Journals, which
`--resume` goes on from, are no documents: their form may change at any time.
"""
_CSV = """## CSV and Parquet

One line a file and plane, in this order; the last line of each file is its own footprint. A file that failed has one
line with `status`, `error_code` and `error_message`. An empty cell is unknown. New columns come at the end. A text that
a spreadsheet would take for a formula has an apostrophe in front.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [_HEAD, "## The documents\n", _list_of_documents()]
    parts += [_section(name) for name in schemas.names() if name not in (schemas.ROW, schemas.PART)]
    parts += [_LINES, _keys(schemas.load(schemas.PART)["$defs"]["head"]["properties"]["part"])]
    parts += [
        _CSV,
        _table(("column", "type", "what it says"), ((f"`{one}`", *more) for one, *more in columns.described())),
    ]
    return "\n".join(parts)


def _list_of_documents() -> str:
    rows = ((f"`{name}`", f"`{schemas.title_of(name)}`", schemas.load(name)["description"]) for name in schemas.names())
    return _table(("name", "`schema`", "what it is"), rows)


def _section(name: str) -> str:
    schema = schemas.load(name)
    parts = [f"## {name}\n", f"`{schema['title']}`. {schema['description']}\n"]
    for title, entry in _objects(schema):
        parts += [f"### {title}\n"] if title else []
        if title and "description" in entry:
            parts.append(f"{_sentence(entry['description'])}\n")
        parts.append(_keys(entry))
    return "\n".join(parts)


def _keys(entry: Mapping[str, Any]) -> str:
    rows = (
        (f"`{key}`" + ("" if key in entry.get("required", ()) else " (may be absent)"), _type(value), _about(value))
        for key, value in entry["properties"].items()
    )
    return _table(("key", "type", "what it says"), rows)


def _objects(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The document's own object, then those within it, each with its title."""
    yield "", schema
    yield from _inner("", schema)
    for name, entry in schema.get("$defs", {}).items():
        if "properties" in entry:
            yield name, entry
        yield from _inner(name, entry)


def _inner(title: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, value in entry.get("properties", {}).items():
        for found in _parts(value):
            if "properties" in found:
                path = f"{title}.{key}".lstrip(".")
                yield path, found
                yield from _inner(path, found)


def _parts(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """`value`, what it may be instead, and what it is a list of."""
    yield value
    for other in value.get("oneOf", ()):
        yield from _parts(other)
    if isinstance(value.get("items"), dict):
        yield from _parts(value["items"])


def _type(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        return str(value["$ref"]).rsplit("/", 1)[-1]
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join("null" if one is None else f"`{one}`" for one in value["enum"])
    if "oneOf" in value:
        return " or ".join(dict.fromkeys(_type(one) for one in sorted(value["oneOf"], key=_is_null)))
    kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
    return " or ".join(_kind(kind, value) for kind in kinds)


def _is_null(value: Mapping[str, Any]) -> bool:
    return value.get("type") == "null"


def _kind(kind: str, value: Mapping[str, Any]) -> str:
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    if kind != "array":
        return words.get(kind, kind)
    if "prefixItems" in value:
        return "list of " + ", ".join(_type(one) for one in value["prefixItems"])
    return f"list of {_type(value['items'])}"


def _about(value: Mapping[str, Any]) -> str:
    """The description of a key, or of what it may be."""
    for found in _parts(value):
        if "description" in found:
            return str(found["description"])
    return ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
