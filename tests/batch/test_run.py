"""Whole runs, through the command line."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

import noisediag
from noisediag.reports.csv import COLUMNS

SCHEMA = json.loads((Path(noisediag.__file__).parent / "reports" / "report.schema.json").read_text("utf-8"))


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_file_in_exactly_one_row(quick, folder, run, tmp_path):
    result = run("batch", folder, "-o", tmp_path / "r.jsonl", "-o", tmp_path / "r.csv", "--workers", 2)
    assert result.exit_code == 3, result.output
    assert result.stderr == f"noisediag: {folder}/short.tif: ends early\n"
    assert "12 files: 11 ok, 1 truncated" in result.stdout
    assert "1 others passed over" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    paths = [row["path"] for row in rows(tmp_path / "r.jsonl")]
    assert paths == sorted(str(path) for path in folder.rglob("*.tif"))
    with open(tmp_path / "r.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert list(dict.fromkeys(row["path"] for row in table)) == paths


def test_rows_follow_the_schema_and_hold_no_order(quick, folder, run, tmp_path):
    run("batch", folder, "-o", tmp_path / "r.jsonl", "--workers", 1)
    for row in rows(tmp_path / "r.jsonl"):
        head = {"schema": row.pop("schema"), "checkpoint": row.pop("checkpoint"), "noisediag": "0"}
        jsonschema.validate({**head, "images": [row]}, SCHEMA)
    one = (tmp_path / "r.jsonl").read_bytes()
    run("batch", folder, "-o", tmp_path / "s.jsonl", "--workers", 3)
    assert (tmp_path / "s.jsonl").read_bytes() == one


def test_parquet_holds_what_the_csv_holds(quick, folder, run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run("batch", folder, "-o", tmp_path / "r.parquet", "-o", tmp_path / "r.csv", "--workers", 1)
    table = parquet.read_table(tmp_path / "r.parquet").to_pylist()
    with open(tmp_path / "r.csv", newline="", encoding="utf-8") as file:
        for cells, values in zip(csv.DictReader(file), table, strict=True):
            assert {column: "" if value is None else value for column, value in values.items()} == {
                column: type(values[column])(text) if text else "" for column, text in cells.items()
            }
    assert isinstance(table[0]["width_px"], int)


def test_names_of_every_kind(quick, run, tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    for name in (b"=1+1.tif", b"\xff.tif", "é ü\n.tif".encode()):
        Path(os.fsdecode(os.fsencode(inside) + b"/" + name)).write_bytes(b"fine")
    result = run("batch", inside, "-o", tmp_path / "r.jsonl", "-o", tmp_path / "r.csv", "--workers", 1)
    assert result.exit_code == 0, result.output
    formula, accented, undecodable = rows(tmp_path / "r.jsonl")
    assert formula["path"].endswith("/=1+1.tif")
    assert accented["path"].endswith("/é ü\n.tif")
    assert undecodable["path"].endswith("/\\xff.tif")
    assert "path_bytes" in undecodable
    assert run("batch", inside, "-o", tmp_path / "r.jsonl", "--workers", 1, "--resume").exit_code == 0


def test_resume_measures_only_what_is_new_or_changed(quick, folder, run, tmp_path, monkeypatch):
    output = tmp_path / "r.jsonl"
    run("batch", folder, "-o", output, "--workers", 1)
    journal = tmp_path / "r.jsonl.journal"
    before = journal.read_bytes()
    assert run("batch", folder, "-o", output, "--workers", 2, "--resume").exit_code == 3
    assert journal.read_bytes() == before
    (folder / "new.tif").write_bytes(b"fine")
    (folder / "short.tif").write_bytes(b"fine again")
    (folder / "00.tif").unlink()
    result = run("batch", folder, "-o", output, "--workers", 2, "--resume")
    assert result.exit_code == 0, result.output
    assert len(journal.read_bytes().splitlines()) == len(before.splitlines()) + 2
    assert [Path(row["path"]).name for row in rows(output)] == sorted(
        (path.name for path in folder.rglob("*.tif")), key=lambda name: next(str(p) for p in folder.rglob(name))
    )


def test_a_flipped_bit_in_the_journal_costs_one_measurement(quick, folder, run, tmp_path):
    output, journal = tmp_path / "r.jsonl", tmp_path / "r.jsonl.journal"
    run("batch", folder, "-o", output, "--workers", 1)
    whole, lines = output.read_bytes(), journal.read_bytes().splitlines(keepends=True)
    damaged = bytearray(lines[4])
    damaged[len(damaged) // 2] ^= 4
    journal.write_bytes(b"".join([*lines[:4], damaged, *lines[5:]]))
    result = run("batch", folder, "-o", output, "--workers", 1, "--resume")
    assert output.read_bytes() == whole
    (line,) = [line for line in result.stderr.splitlines() if "short.tif" not in line]
    at = sum(map(len, lines[:4]))
    assert line == f"noisediag: {journal}: damaged or unfinished at byte {at}: what stood there is done again"
    assert journal.read_bytes().splitlines(keepends=True)[-1] == lines[4]
    assert run("batch", folder, "-o", output, "--workers", 1, "--resume").stderr == ""


def test_files_known_by_digest(quick, folder, run, tmp_path):
    output = tmp_path / "r.jsonl"
    run("batch", folder, "-o", output, "--workers", 1, "--by-digest")
    before = (tmp_path / "r.jsonl.journal").read_bytes()
    for path in folder.rglob("*.tif"):
        os.utime(path, ns=(1, 1))
    run("batch", folder, "-o", output, "--workers", 1, "--by-digest", "--resume")
    assert (tmp_path / "r.jsonl.journal").read_bytes() == before
    assert "--force" in run("batch", folder, "-o", output, "--workers", 1, "--resume").stderr
    changed = next(folder.rglob("*.tif"))
    old = changed.stat()
    changed.write_bytes(changed.read_bytes()[::-1])  # of the same size, and then of the same time
    os.utime(changed, ns=(old.st_atime_ns, old.st_mtime_ns))
    run("batch", folder, "-o", output, "--workers", 1, "--by-digest", "--resume")
    after = (tmp_path / "r.jsonl.journal").read_bytes()
    assert after[: len(before)] == before
    assert after[len(before) :].count(b"\n") == 1


def test_a_run_with_other_options_is_not_continued(quick, folder, run, tmp_path):
    output = tmp_path / "r.jsonl"
    run("batch", folder, "-o", output, "--workers", 1)
    whole = output.read_bytes()
    result = run("batch", folder, "-o", output, "--workers", 1, "--resume", "--gain", 2)
    assert result.exit_code == 2
    assert "gain none, not 2.0" in result.stderr
    assert output.read_bytes() == whole
    assert run("batch", folder, "-o", output, "--workers", 1, "--force", "--gain", 2).exit_code == 3
    assert rows(output)[0]["warnings"] == ["gain 2.0"]


def test_a_file_that_may_not_be_read_stays_due(quick, folder, run, tmp_path, monkeypatch):
    listed, locked = os.scandir, [True]

    def scandir(path):
        if locked[0] and str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr("noisediag.batch.walk.os.scandir", scandir)
    output = tmp_path / "r.jsonl"
    assert "1 permission" in run("batch", folder, "-o", output, "--workers", 1).stdout
    locked[0] = False
    assert "11 ok, 1 truncated" in run("batch", folder, "-o", output, "--workers", 1, "--resume").stdout


def test_exit_codes(quick, folder, run, tmp_path):
    def code(*arguments):
        result = run("batch", *arguments)
        assert "Traceback" not in result.output
        return result.exit_code

    assert code(folder, "-o", tmp_path / "a.jsonl", "--exclude", "short*", "--workers", 1) == 0
    assert code(folder, "-o", tmp_path / "b.jsonl", "--include", "short*", "--workers", 1) == 4
    assert code(folder, "-o", tmp_path / "c.jsonl", "--include", "nothing", "--workers", 1) == 4
    assert code(folder, "-o", tmp_path / "d.jsonl", "--checkpoint", tmp_path / "no", "--workers", 1) == 5
    for refused in (
        (folder, "-o", tmp_path / "a.jsonl"),
        (folder, "-o", tmp_path / "x.txt"),
        (folder, "-o", tmp_path / "x.csv", "-o", tmp_path / "y.csv"),
        (folder, "-o", tmp_path / "none" / "x.csv"),
        (folder, "-o", tmp_path / "x.csv", "--shard", "1/2"),
        (folder, "-o", tmp_path / "x.jsonl", "--resume", "--force"),
        (folder, "-o", tmp_path / "x.jsonl", "--timeout", "0"),
        (tmp_path / "none", "-o", tmp_path / "x.csv"),
    ):
        assert code(*refused) == 2
    (tmp_path / "a.jsonl.journal").unlink()
    assert code(folder, "-o", tmp_path / "a.jsonl", "--resume") == 2


def test_an_interrupt_keeps_what_is_done(quick, folder, run, tmp_path, monkeypatch):
    from noisediag.batch.journal import RowJournal

    append = RowJournal.append

    def interrupted(self, entries):
        append(self, entries)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RowJournal, "append", interrupted)
        assert run("batch", folder, "-o", tmp_path / "r.jsonl", "--workers", 1).exit_code == 130
    assert not (tmp_path / "r.jsonl").exists()
    assert len((tmp_path / "r.jsonl.journal").read_bytes().splitlines()) > 1
    assert run("batch", folder, "-o", tmp_path / "r.jsonl", "--workers", 1, "--resume").exit_code == 3


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_at_any_moment_and_resumed_gives_the_same_bytes(quick, run, tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    for number in range(60):
        (inside / f"{number:02}.tif").write_bytes(b"slow" if number % 7 else b"short")
    run("batch", inside, "-o", tmp_path / "whole.jsonl", "-o", tmp_path / "whole.csv", "--workers", 1)
    code = (
        f"import sys, noisediag.batch.pool as pool; pool._COMMAND = {quick!r}\nfrom noisediag.cli import main; main()"
    )
    output = tmp_path / "r.jsonl"
    command = [sys.executable, "-c", code, "batch", str(inside), "-o", str(output), "-o", str(tmp_path / "r.csv")]
    chance, kills = random.Random(0), 0
    for _ in range(40):
        process = subprocess.Popen(
            [*command, "--resume", "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        journal = tmp_path / "r.jsonl.journal"
        size = journal.stat().st_size if journal.exists() else 0
        while kills < 4 and process.poll() is None and (not journal.exists() or journal.stat().st_size == size):
            time.sleep(0.01)  # until it writes, for else it would be killed while it starts
        if kills < 4:
            time.sleep(chance.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            kills += 1
        if process.wait() == 3:
            break
    assert kills == 4
    for suffix in (".jsonl", ".csv"):
        assert output.with_suffix(suffix).read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


def test_the_parent_loads_no_torch():
    code = "import sys, noisediag.batch.run, noisediag.batch.merge; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
