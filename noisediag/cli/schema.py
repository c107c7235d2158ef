"""`noisediag schema`: the JSON Schema of what a command writes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from noisediag.cli.common import errors_in_words
from noisediag.errors import UsageError


def _names() -> list[str]:
    from noisediag.reports import schemas

    return list(schemas.names())


def schema(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Which one; none: list them all.", autocompletion=_names),
    ] = None,
) -> None:
    """Print the JSON Schema of a document that noisediag writes, or the list of them."""
    with errors_in_words():
        from noisediag.reports import schemas
        from noisediag.reports.figures import dumps_json

        if name is None:
            width = max(map(len, schemas.names()))
            for each in schemas.names():
                sys.stdout.write(f"{each:{width}}  {schemas.title_of(each)}\n")
        elif name in schemas.names():
            sys.stdout.write(dumps_json(schemas.load(name)))
        else:
            raise UsageError(f"{name}: no such schema; there are: {', '.join(schemas.names())}")
