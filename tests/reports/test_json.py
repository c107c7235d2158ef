import json
from importlib import resources

import jsonschema
import pytest

from noisediag.footprint.file import CheckpointId
from noisediag.footprint.plane import FLAGS
from noisediag.reports import Failure
from noisediag.reports.json import dumps

CHECKPOINT = CheckpointId("sensor", "0" * 64)


@pytest.fixture(scope="module")
def schema():
    return json.loads(resources.files("noisediag.reports").joinpath("report.schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def validator(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_report_matches_the_schema(footprint, make_footprint, make_plane, validator):
    stack = make_footprint(
        planes=(make_plane("GFP", channel="GFP", frame=3, bit_depth=None), make_plane("all", flags=("few_pixels",))),
        domain="linear",
        path=None,
        sha256=None,
        cfa_plane_colors=(),
        flags=("assumed_scale",),
        warnings=("black level unknown",),
    )
    broken = Failure("broken.cr2", "truncated", "the file ends early")
    report = json.loads(dumps([footprint, stack, broken], CHECKPOINT))
    validator.validate(report)
    assert list(report) == ["schema", "noisediag", "checkpoint", "images"]
    assert [image["status"] for image in report["images"]] == ["ok", "ok", "error"]
    assert report["images"][2] == {
        "path": "broken.cr2",
        "status": "error",
        "error": {"code": "truncated", "message": "the file ends early"},
    }


def test_the_schema_refuses_what_is_not_in_the_contract(footprint, validator):
    report = json.loads(dumps([footprint], CHECKPOINT))
    report["images"][0]["planes"][0]["parameters"][0]["flag"] = "invented"
    assert not validator.is_valid(report)
    report = json.loads(dumps([Failure("a", "crashed", "")], CHECKPOINT))
    report["images"][0]["error"]["code"] = "invented"
    assert not validator.is_valid(report)


def test_the_schema_knows_every_flag(schema):
    assert tuple(schema["$defs"]["flag"]["enum"]) == FLAGS


def test_text_is_utf8_and_not_escaped(make_footprint):
    assert '"path": "café.dng"' in dumps([make_footprint(path="café.dng")], CHECKPOINT)
