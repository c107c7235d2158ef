import json
import os
import random
import re
import shutil
import zlib
from pathlib import Path

import pytest

from noisediag.batch import parts as parts_of_batch
from noisediag.batch.run import write
from noisediag.batch.summary import Summary
from noisediag.errors import TruncatedError, UnreadableError
from noisediag.reports import reading, writing

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
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "all.jsonl").exists()


def rewritten(part, change):
    """The part anew, its lines changed by `change(head, rows)`, with the checksums that they then have."""
    head, *lines = (json.loads(line) for line in part.read_text("utf-8").splitlines())
    head, lines = change(head, lines)
    text = summed(head, 0)
    seed = zlib.crc32(text)
    part.write_bytes(text + b"".join(summed(line, seed) for line in lines))


def summed(content, seed):
    """Whoever writes a part can give anything the right checksum."""
    text = json.dumps({key: value for key, value in content.items() if key != "crc32"}).encode()
    return b'%s, "crc32": "%08x"}\n' % (text[:-1], zlib.crc32(text, seed))


def test_what_rewriting_alone_leaves(parts):
    for part in parts:
        before = part.read_bytes()
        rewritten(part, lambda head, lines: (head, lines))
        assert part.read_bytes() == before


def test_a_missing_shard(parts, run, tmp_path):
    refused(run, parts[:2], tmp_path, "3/3")


def test_a_doubled_shard(parts, run, tmp_path):
    refused(run, [*parts, parts[0]], tmp_path, "both shard 1/3")


def test_a_doubled_file(parts, run, tmp_path):
    line = json.loads(parts[0].read_text("utf-8").splitlines()[1])

    def add(head, lines):
        head["part"]["rows"] += 1
        return head, [*lines, line]

    rewritten(parts[1], add)
    refused(run, parts, tmp_path, "has a row in")


@pytest.mark.parametrize("name", ["checkpoint", "gain", "noisediag"])
def test_parts_of_different_runs(parts, run, tmp_path, name):
    def change(head, lines):
        head["part"]["run"][name] = "another"
        for line in lines if name == "checkpoint" else ():
            line["checkpoint"]["sha256"] = "another"
        return head, lines

    rewritten(parts[1], change)
    word = f"do not belong together: {name}" if name != "checkpoint" else "no row of a report"
    refused(run, parts, tmp_path, word, exit_code=2 if name != "checkpoint" else 3)


def test_damaged_parts(parts, run, tmp_path):
    whole = parts[1].read_bytes()
    lines = whole.splitlines(keepends=True)
    last = len(lines)
    for content, word in (
        (whole[:-10], f"damaged at line {last} is cut off: batch --shard 2/3 --resume writes it anew"),
        (b"".join(lines[:-1]), f"has {last - 2} of {last - 1} rows"),
        (b"{]\n" + whole, "line 1 is damaged or was not written by batch --shard"),
        (b"{}\n" + whole, "was not written by batch --shard"),
        (b"", "was not written by batch --shard"),
        (whole + parts[0].read_bytes().splitlines(keepends=True)[1], f"damaged at line {last + 1}"),
    ):
        parts[1].write_bytes(content)
        refused(run, parts, tmp_path, word, exit_code=3)


def test_a_flipped_bit_is_named_and_mended_by_resume(quick, parts, folder, run, tmp_path):
    """Any bit of a part: no row becomes another one, none is lost without a word."""
    part = tmp_path / "p.jsonl"
    arguments = ("batch", folder, "-o", part, "--shard", "2/3", "--workers", 1, "--resume")
    run(*arguments)
    whole = part.read_bytes()
    assert whole == parts[1].read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    chance = random.Random(0)
    bits = {8 * at + chance.randrange(8) for at in chance.sample(range(len(whole)), 120)}
    bits |= {8 * (end - 1) + bit for end in ends for bit in range(8)}
    for bit in sorted(bits):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        part.write_bytes(damaged)
        line = 1 + sum(bit // 8 >= end for end in ends)
        with pytest.raises(UnreadableError, match=rf"{re.escape(str(part))}: (line 1 is |damaged at line {line}\b)"):
            parts_of_batch.read(part)
    run(*arguments)
    assert part.read_bytes() == whole


def broken(value, depth=0):
    """`value` with one of its parts of another kind, every part in turn, near the surface."""
    parts = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, part in parts[:12]:
        for new in ("\ud800", None, [], float("nan")):
            if type(new) is not type(part):
                copy = value.copy()
                copy[key] = new
                yield copy
        for other in broken(part, depth + 1) if depth < 1 else ():
            copy = value.copy()
            copy[key] = other
            yield copy


def test_rows_that_are_none_are_one_line(parts, run, tmp_path):
    """What is taken can be written in every format; all else is refused, in a line."""
    path = parts[1]
    row = json.loads(path.read_bytes().splitlines()[1])
    refused = 0
    for line in broken(row):
        rewritten(path, lambda head, lines, line=line: (head, [line, *lines[1:]]))
        try:
            ((_, place), *_) = parts_of_batch.read(path)[1]
        except (UnreadableError, TruncatedError) as error:
            assert re.match(rf"{re.escape(str(path))}: [^\n]*line 2", str(error))  # noqa: PT017
            refused += 1
            continue
        taken = parts_of_batch.Rows([path])
        write(iter([taken.reply(0, place)]), [tmp_path / f"r{suffix}" for suffix in writing.SUFFIXES], Summary())
        taken.close()
    assert refused > 40


@pytest.mark.parametrize(
    ("key", "value"),
    [("count", 10**10), ("count", True), ("index", 0), ("index", "1"), ("rows", -1), ("run", []), ("format", 1)],
)
def test_a_first_line_that_cannot_be(parts, run, tmp_path, key, value):
    def change(head, lines):
        head["part"][key] = value
        return head, lines

    rewritten(parts[1], change)
    refused(run, parts, tmp_path, "line 1", exit_code=3)


def test_parts_of_other_programs(run, tmp_path):
    """Those that ended an earlier version with a traceback, or never."""
    part = tmp_path / "part.jsonl"
    old = '"part": {"index": 1, "count": 1, "run": {}, "csv": "x\\n"}}\n'
    for text in (
        '{"path": "a", "status": "error", "error": {"code": "x", "message": "m"}, '
        + old.replace('"count": 1', '"count": 10000000000'),
        '{"path": "a", ' + old,
        '{"status": "ok", ' + old,
        "[" * 100_000,
        '{"part": ' + "[" * 100_000,
        "\0" * 5000,
    ):
        part.write_text(text)
        refused(run, [part], tmp_path, "line 1 is damaged or was not written by batch --shard", exit_code=3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_no_part(run, tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    refused(run, [tmp_path / "pipe.jsonl"], tmp_path, "is no file", exit_code=3)


def test_more_parts_than_files_may_be_open(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(parts_of_batch, "_OPEN", 1)
    rows = parts_of_batch.Rows(parts)
    places = [parts_of_batch.read(part)[1] for part in parts]
    for number in (0, 1, 2, 0):
        for path, place in places[number]:
            assert rows.reply(number, place)["row"]["path"].encode() == path
    assert len(rows._opened) == 1
    rows.close()


def test_a_shard_without_files_is_a_part_that_says_so(quick, run, tmp_path):
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
    empty, full = sorted(made, key=lambda part: part.stat().st_size)
    refused(run, [full], tmp_path, "shards without a part")
    full.write_bytes(b"")  # which an earlier version took for the shard without files
    refused(run, [empty, full], tmp_path, "line 1 is damaged", exit_code=3)


def test_a_part_is_a_report_too(made):
    assert [row.path for row in reading.rows(made[1][0])]
