import json
import shutil
from pathlib import Path

import pytest

SHARDS = 3


@pytest.fixture(scope="module")
def made(quick, run, fill, tmp_path_factory):
    """A folder, and the three parts of a run over it."""
    place = tmp_path_factory.mktemp("sharded")
    inside = fill(place / "in")
    for index in range(1, SHARDS + 1):
        run("batch", inside, "-o", place / f"part{index}.jsonl", "--shard", f"{index}/{SHARDS}", "--workers", 1)
    return inside, sorted(place.glob("*.jsonl"))


@pytest.fixture
def folder(made):
    return made[0]


@pytest.fixture
def parts(made, tmp_path):
    """Copies of the parts, to be damaged."""
    return [Path(shutil.copy(part, tmp_path)) for part in made[1]]


def test_the_same_bytes_as_one_run_over_everything(parts, folder, run, tmp_path):
    names = ["-o", "r.jsonl", "-o", "r.csv", "-o", "r.parquet"]
    for place in ("whole", "merged"):
        (tmp_path / place).mkdir()
    whole, merged = (
        [tmp_path / place / name if name != "-o" else name for name in names] for place in ("whole", "merged")
    )
    one = run("batch", folder, *whole, "--workers", 1)
    joined = run("merge", *reversed(parts), *merged)
    assert joined.exit_code == one.exit_code == 3
    assert joined.stdout == one.stdout.replace("1 others passed over: not pictures by their names, or excluded\n", "")
    for a, b in zip(whole, merged, strict=True):
        assert a == b or a.read_bytes() == b.read_bytes()


def refused(run, parts, tmp_path, word, exit_code=2):
    result = run("merge", *parts, "-o", tmp_path / "all.jsonl")
    assert result.exit_code == exit_code, result.output
    assert word in result.stderr
    assert not (tmp_path / "all.jsonl").exists()


def test_a_missing_shard(parts, run, tmp_path):
    refused(run, parts[:2], tmp_path, "3/3")


def test_a_doubled_shard(parts, run, tmp_path):
    refused(run, [*parts, parts[0]], tmp_path, "both shard 1/3")


def test_a_doubled_file(parts, run, tmp_path):
    line = json.loads(parts[0].read_text().splitlines()[0])
    line["part"]["index"] = 2
    with open(parts[1], "a") as file:
        file.write(json.dumps(line) + "\n")
    refused(run, parts, tmp_path, "has a row in")


@pytest.mark.parametrize("name", ["checkpoint", "gain", "noisediag"])
def test_parts_of_different_runs(parts, run, tmp_path, name):
    lines = [json.loads(line) for line in parts[1].read_text().splitlines()]
    for line in lines:
        line["part"]["run"][name] = "another"
    parts[1].write_text("".join(json.dumps(line) + "\n" for line in lines))
    refused(run, parts, tmp_path, f"do not belong together: {name}")


def test_damaged_parts(parts, run, tmp_path):
    whole = parts[1].read_bytes()
    for content, word in (
        (whole[:-10], "cut off"),
        (b"{]\n" + whole, "no JSON"),
        (b"{}\n" + whole, "not written by batch --shard"),
    ):
        parts[1].write_bytes(content)
        refused(run, parts, tmp_path, word, exit_code=3)


def test_a_shard_without_files_is_an_empty_part(quick, run, tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.tif").write_bytes(b"fine")
    made = [tmp_path / f"part{index}.jsonl" for index in (1, 2)]
    codes = {
        run("batch", inside, "-o", part, "--shard", f"{i}/2", "--workers", 1).exit_code
        for i, part in enumerate(made, 1)
    }
    assert codes == {0, 4}
    assert run("merge", *made, "-o", tmp_path / "all.csv").exit_code == 0
    full = max(made, key=lambda part: part.stat().st_size)
    refused(run, [full], tmp_path, "shards without a row")
