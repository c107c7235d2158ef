"""The schemas that travel with the package, the page made of them, and documents of commands held against them.

All other documents that tests make are held against their schemas as they are written: see tests/validated.py.
"""

import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

import noisediag
from noisediag.cli import app
from noisediag.reports import columns, handbook, schemas
from noisediag.reports.csv import COLUMNS

PACKAGE = Path(noisediag.__file__).parent
SAMPLE = Path(__file__).parents[1] / "data" / "sample.dng"
INTERNAL = {"noisediag.journal/2", "noisediag.checkpoint/1"}  # no documents for others
NAMED = re.compile(r'"(noisediag\.[a-z-]+/\d+)"')


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout


def properties(schema):
    """All keys of all objects of a schema, with what is said of them."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield from schema["properties"].items()
        for value in schema.values():
            yield from properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties(value)


@pytest.mark.parametrize("name", schemas.names())
def test_a_schema_is_sound_and_says_what_every_key_means(name):
    schema = schemas.load(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["description"]
    if name != "darktable":  # another program's format
        silent = [key for key, value in properties(schema) if not value.get("description")]
        assert silent == []


def test_every_name_that_a_document_may_bear_has_a_schema():
    written = {name for path in PACKAGE.rglob("*.py") for name in NAMED.findall(path.read_text("utf-8"))}
    known = {title for title in map(schemas.title_of, schemas.names()) if NAMED.fullmatch(f'"{title}"')}
    assert written - INTERNAL == known


def test_a_document_with_another_key_does_not_fit(check_document):
    document = {
        "schema": "noisediag.check/1",
        "noisediag": "0",
        "rows": [],
        "silent": [],
        "notes": [],
        "checkpoint": None,
    }
    assert check_document(document) == "check"
    for changed in ({**document, "invented": 1}, {key: document[key] for key in document if key != "rows"}):
        with pytest.raises(ValueError, match=r"invented|rows"):
            check_document(changed)


def test_the_page_is_the_one_that_is_made_from_the_schemas():
    page = resources.files("noisediag").joinpath("guide", "json-and-csv.md").read_text("utf-8")
    assert page == handbook.page(), "python -m noisediag.reports.handbook > noisediag/guide/json-and-csv.md"


def test_the_page_names_every_key_and_column():
    page = handbook.page()
    for name in schemas.names():
        for key, _ in properties(schemas.load(name)):
            assert f"`{key}`" in page, (name, key)
    assert [column for column, _, _ in columns.described()] == list(COLUMNS)
    assert all(f"| `{column}` |" in page for column in COLUMNS)


def test_the_command_prints_them():
    listed = run("schema").splitlines()
    assert [line.split()[0] for line in listed] == list(schemas.names())
    assert json.loads(run("schema", "row")) == schemas.load("row")
    assert "no such schema" in CliRunner().invoke(app, ["schema", "nonsense"]).stderr
    run("schema", "nonsense", code=2)


class TestCommands:
    """What they print and write, whole documents and lines."""

    def test_estimate_and_what_follows_from_it(self, check_document, tmp_path):
        report = run("estimate", SAMPLE, "--json")
        assert check_document(json.loads(report)) == "report"
        (tmp_path / "r.json").write_text(report, encoding="utf-8")
        verified = CliRunner().invoke(app, ["verify", str(SAMPLE), "--profile", str(tmp_path / "r.json"), "--json"])
        assert check_document(json.loads(verified.stdout)) == "verify"

    @pytest.mark.parametrize(
        ("command", "name"),
        [
            (("check", "--against-metadata", "--json"), "check"),
            (("advise", "--target-snr", "10", "--json"), "advice"),
            (("profile", "--to", "json"), "profile"),
        ],
    )
    def test_of_one_file(self, check_document, command, name):
        assert check_document(json.loads(run(command[0], SAMPLE, *command[1:]))) == name

    def test_simulate(self, check_document, tmp_path):
        said = run("simulate", "--scene", "photo", "--size", "64x64", "--shot-gain", "1e-4", "-o", tmp_path / "a.png")
        assert check_document(json.loads(said)) == "simulation"
        beside = [path for path in tmp_path.iterdir() if path.suffix == ".json"]
        assert [check_document(json.loads(path.read_text("utf-8"))) for path in beside] == ["simulation"]

    def test_batch_and_merge(self, check_document, tmp_path):
        photos = tmp_path / "photos"
        photos.mkdir()
        (photos / "a.dng").write_bytes(SAMPLE.read_bytes())
        (photos / "b.dng").write_bytes(b"nonsense")
        run("batch", photos, "-o", tmp_path / "p.jsonl", "--shard", "1/1", "--workers", 1, code=3)
        lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text("utf-8").splitlines()]
        assert [check_document(line, "part") for line in lines] == ["part"] * 3
        run("merge", tmp_path / "p.jsonl", "-o", tmp_path / "all.jsonl", code=3)
        lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text("utf-8").splitlines()]
        assert [line["status"] for line in lines] == ["ok", "error"]
        assert [check_document(line, "row") for line in lines] == ["row"] * 2
