"""`batch FOLDER` without a report: lines and a summary on stdout, and not a file written."""

import json

import pytest


def everything(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def test_a_line_a_file_in_the_order_of_paths_and_nothing_written(quick, folder, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    result = run("batch", folder, "--workers", 2)
    assert result.exit_code == 3, result.output
    lines = result.stdout.splitlines()
    shown = [line.split()[0] for line in lines[1 : lines.index("")]]
    assert shown == sorted(str(path) for path in folder.rglob("*.tif"))
    assert "12 files: 11 ok, 1 truncated" in result.stdout
    assert result.stderr == f"noisediag: {folder}/short.tif: ends early\n"
    assert everything(tmp_path) == before


def test_json_lines_on_stdout(quick, folder, run, tmp_path):
    result = run("batch", folder, "-o", "-", "--workers", 2)
    assert result.exit_code == 3
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == sorted(
        str(path) for path in folder.rglob("*.tif")
    )
    run("batch", folder, "-o", tmp_path / "r.jsonl", "--workers", 1)
    assert result.stdout == (tmp_path / "r.jsonl").read_text("utf-8")


def test_sorted(quick, folder, run):
    lines = run("batch", folder, "--workers", 2, "--sort", "file", "--reverse").stdout.splitlines()
    shown = [line.split()[0] for line in lines[1 : lines.index("")]]
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize(
    "options",
    [
        ("--resume",),
        ("--force",),
        ("--by-digest",),
        ("-o", "-", "--shard", "1/2"),
        ("-o", "-", "-o", "x.csv"),
        ("-o", "-", "--sort", "iso"),
        ("-o", "x.jsonl", "--sort", "iso"),
        ("--reverse",),
    ],
)
def test_options_of_reports_need_one(quick, folder, run, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("batch", folder, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


def test_no_picture_and_no_folder(quick, run, tmp_path):
    assert "holds no picture" in run("batch", tmp_path).stderr
    assert "is no folder" in run("batch", tmp_path / "none").stderr


def test_parts_are_joined_on_stdout(quick, folder, run, tmp_path):
    parts = [tmp_path / f"{n}.jsonl" for n in (1, 2)]
    for number, part in enumerate(parts, 1):
        run("batch", folder, "-o", part, "--shard", f"{number}/2", "--workers", 1)
    run("merge", *parts, "-o", tmp_path / "all.jsonl")
    assert run("merge", *parts, "-o", "-").stdout == (tmp_path / "all.jsonl").read_text("utf-8")
