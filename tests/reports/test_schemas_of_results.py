"""Documents of results that are made up from their types, full ones and those where all that may be missing is.

A field that is added to a result, or that may be null from now on, has to be in its schema.
"""

import dataclasses
import importlib
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path

import pytest

from noisediag.studies.advise import report as advise_report
from noisediag.studies.advise.protocol import Exponents
from noisediag.studies.advise.result import Advice
from noisediag.studies.finetune.result import FinetuneOptions

RESULTS = {
    "benchmark": ("noisediag.benchmark.sets.result:BenchmarkResult", "noisediag.benchmark.sets.report"),
    "rendered-benchmark": ("noisediag.benchmark.rendered.result:RenderedResult", "noisediag.benchmark.rendered.report"),
    "real": ("noisediag.benchmark.real.result:RealResult", "noisediag.benchmark.real.report"),
    "traps": ("noisediag.benchmark.traps.result:TrapResult", "noisediag.benchmark.traps.report"),
    "few-shot": ("noisediag.benchmark.few_shot.run:FewShotResult", "noisediag.benchmark.few_shot.report"),
    "limit": ("noisediag.benchmark.limit:LimitResult", "noisediag.benchmark.limit"),
    "speed": ("noisediag.benchmark.speed:SpeedResult", "noisediag.benchmark.speed"),
    "cost": ("noisediag.benchmark.cost:CostResult", "noisediag.benchmark.cost"),
    "distance": ("noisediag.studies.distance:DistanceResult", "noisediag.studies.distance"),
    "finetune": ("noisediag.studies.finetune.result:FinetuneResult", "noisediag.studies.finetune.report"),
    "check": ("noisediag.studies.camera.check:CheckResult", "noisediag.studies.camera.check"),
    "verify": ("noisediag.studies.camera.verify:Verification", "noisediag.studies.camera.verify"),
    "profile": ("noisediag.studies.camera.profile:Profile", "noisediag.studies.camera.profile_report"),
}


def made(kind, *, full):
    """A value of a type; not `full`: None, NaN and nothing where the type allows it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is FinetuneOptions:
        return FinetuneOptions()
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = {field.name: made(hints[field.name], full=full) for field in dataclasses.fields(kind)}
        return kind(**fields)
    if origin is typing.Literal:
        return inner[0]
    if origin in (typing.Union, types.UnionType):
        return made(inner[0], full=full) if full or type(None) not in inner else None
    if origin is tuple and inner[-1] is not Ellipsis:
        return tuple(made(one, full=full) for one in inner)
    if origin is tuple:
        return (made(inner[0], full=full),) * 2 if full or dataclasses.is_dataclass(inner[0]) else ()
    if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return {"a": made(inner[1], full=full)}
    if kind is typing.Any:
        return "text"
    return {float: 0.25 if full else math.nan, int: 3, bool: True, str: "text", Path: Path("a/b")}[kind]


@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_fits_its_schema(check_document, name, full):
    place, report = RESULTS[name]
    module, _, kind = place.partition(":")
    result = made(getattr(importlib.import_module(module), kind), full=full)
    if name == "check":  # these words and units are from a closed list
        result = dataclasses.replace(result, rows=tuple(dataclasses.replace(row, unit="DN") for row in result.rows))
    if name == "distance":
        members = tuple(dataclasses.replace(member, folder="A") for member in result.members)
        result = dataclasses.replace(result, members=members, p=0.5)
    if name == "finetune":
        verdicts = tuple(dataclasses.replace(verdict, scale="log") for verdict in result.verdicts)
        said = tuple(dataclasses.replace(one, truth=1.0) for one in result.predictions)
        result = dataclasses.replace(result, verdicts=verdicts, predictions=said)
    if name == "profile":
        result = _profile(result)
    document = json.loads(importlib.import_module(report).dumps(result))
    assert check_document(document) == name


@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
def test_advice_fits_its_schema(check_document, full):
    advice = made(Advice, full=full)
    levels = tuple(dataclasses.replace(level, limit="shot" if full else None) for level in advice.levels)
    advice = dataclasses.replace(advice, how="measured", offset_source="file", levels=levels)
    exponents = made(Exponents, full=full) if full else None
    assert check_document(json.loads(advise_report.dumps([advice], exponents))) == "advice"


def _profile(result):
    """With numbers that are known, as those of a profile are, and flags of theirs."""

    def known(value):
        return dataclasses.replace(value, value=1.0, low=0.5, high=2.0, flag="interpolated" if value.flag else None)

    entries = [
        dataclasses.replace(
            entry,
            iso=100.0,
            colours=tuple(dataclasses.replace(one, S=known(one.S), O=known(one.O)) for one in entry.colours),
        )
        for entry in result.entries
    ]
    return dataclasses.replace(result, entries=tuple(entries))
