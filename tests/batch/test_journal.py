import json
import os

import pytest

from noisediag.batch.journal import Journal, RowJournal
from noisediag.errors import UsageError

RUN = {"checkpoint": "0" * 64, "gain": None}
NAMES = ("a", "b", "c")


def reply(path, value=0):
    return {"row": {"path": path, "value": value}, "cells": [[path]]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "r.jsonl.journal"


@pytest.fixture
def written(path):
    with RowJournal(path, RUN, resume=False) as journal:
        journal.append([("k1", reply("a")), ("k2", reply("b"))])
        journal.append([("k3", reply("c"))])
    return path


@pytest.fixture
def told():
    return []


@pytest.fixture
def again(told):
    """`again(path)`: the journal opened once more; what it says of damage goes to `told`."""

    def open_(path, run=RUN):
        return RowJournal(path, run, resume=True, tell=told.append)

    return open_


def keys(journal):
    return [journal.key(name) for name in NAMES]


def test_what_was_appended_is_there_again(written, again, told):
    with again(written) as journal:
        assert [*keys(journal), journal.key("d")] == ["k1", "k2", "k3", None]
        assert [item["cells"] for item in journal.replies(["c", "a"])] == [[["c"]], [["a"]]]
    assert told == []


def test_the_later_line_of_a_file_holds(written, again):
    with again(written) as journal:
        journal.append([("k4", reply("a", 1))])
    with again(written) as journal:
        assert journal.key("a") == "k4"
        assert next(journal.replies(["a"]))["row"]["value"] == 1


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_line_does_not_count_and_is_cut_off(written, cut, again):
    whole = written.read_bytes()
    written.write_bytes(whole[:-cut])
    with again(written) as journal:
        assert keys(journal) == ["k1", "k2", None]
        journal.append([("k3", reply("c"))])
    assert written.read_bytes() == whole


def test_blocks_that_never_reached_the_disk(written, again, told):
    lines = written.read_bytes().splitlines(keepends=True)
    lines[1] = bytes(len(lines[1]) - 1) + b"\n"
    written.write_bytes(b"".join(lines) + bytes(4096))
    with again(written) as journal:
        assert keys(journal) == [None, "k2", "k3"]
        journal.append([("k1", reply("a"))])
    assert len(told) == 1
    with again(written) as journal:
        assert journal.key("a") == "k1"
    assert len(told) == 1


def test_a_flipped_bit_costs_its_own_row_and_is_told_once(written, again, told):
    whole = written.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    wanted = [reply(name) for name in NAMES]
    bits = {8 * at + at % 8 for at in range(len(whole))}
    bits |= {8 * at + bit for at, byte in enumerate(whole) for bit in range(8) if byte ^ 1 << bit == ord("\n")}
    for bit in sorted(bits):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        written.write_bytes(damaged)
        line = sum(bit // 8 >= end for end in ends)  # 0: the first line, which can be made anew
        lost = [number == line for number in (1, 2, 3)]
        told.clear()
        with again(written) as journal:
            assert keys(journal) == [None if gone else f"k{i}" for i, gone in enumerate(lost, 1)], bit
            kept = [name for name, gone in zip(NAMES, lost, strict=True) if not gone]
            assert list(journal.replies(kept)) == [item for item, gone in zip(wanted, lost, strict=True) if not gone]
            (message,) = told
            assert f"{written}: damaged or unfinished at byte {([0, *ends])[line]}:" in message
            journal.append(
                [(f"k{i}", item) for i, (gone, item) in enumerate(zip(lost, wanted, strict=True), 1) if gone]
            )
        told.clear()
        with again(written) as journal:
            assert keys(journal) == ["k1", "k2", "k3"]
        assert told == []
        if line == 0:
            assert written.read_bytes() == whole


def test_damage_while_the_run_goes_on_is_no_other_number(written, again):
    with again(written) as journal:
        content = bytearray(written.read_bytes())
        content[-8] ^= 1
        written.write_bytes(content)
        with pytest.raises(UsageError, match="was damaged at byte"):
            list(journal.replies(["c"]))


def test_entries_of_another_run_never_count(written, path, again):
    with RowJournal(path.with_name("other"), {**RUN, "gain": 2.0}, resume=False) as other:
        other.append([("k9", reply("a", 9))])
    written.write_bytes(written.read_bytes() + path.with_name("other").read_bytes().splitlines(keepends=True)[1])
    with again(written) as journal:
        assert keys(journal) == ["k1", "k2", "k3"]


def test_a_torn_first_line_begins_anew(path, written, again):
    first = written.read_bytes().splitlines(keepends=True)[0]
    for cut in range(len(first)):
        path.write_bytes(first[:cut])
        with again(path) as journal:
            journal.append([("k1", reply("a"))])
        with again(path) as journal:
            assert journal.key("a") == "k1"


@pytest.mark.parametrize(
    ("run", "word"), [({**RUN, "gain": 2.0}, "gain none, not 2.0"), ({**RUN, "checkpoint": "1"}, "checkpoint")]
)
def test_other_options_are_refused(written, run, word, again):
    before = written.read_bytes()
    with pytest.raises(UsageError, match=word):
        again(written, run)
    assert written.read_bytes() == before


def test_equal_options_written_differently_are_the_same_run(path, again, told):
    with RowJournal(path, {"gain": 2}, resume=False) as journal:
        journal.append([("k1", reply("a"))])
    with again(path, {"gain": 2.0}) as journal:
        journal.append([("k2", reply("b"))])
    with again(path, {"gain": 2}) as journal:
        assert keys(journal) == ["k1", "k2", None]
    assert told == []


@pytest.mark.parametrize("text", ["my notes\n", "my notes", '{"journal": "noisediag.journal/1", "run": {}}\n'])
def test_something_else_is_refused(path, text, again):
    path.write_text(text)
    with pytest.raises(UsageError, match="no journal"):
        again(path)
    assert path.read_text() == text


def test_two_at_a_time_are_refused(written, again):
    with again(written), pytest.raises(UsageError, match="another run"):
        again(written)


def test_names_that_are_not_utf8(path):
    row = {"path": "\\xff.tif", "path_bytes": "/y50aWY="}
    with RowJournal(path, RUN, resume=False) as journal:
        journal.append([("k", {"row": row, "cells": []})])
        assert journal.key("\udcff.tif") == "k"


def test_an_entry_is_on_the_disk_before_append_returns(path, monkeypatch):
    """What fsync is called for: the journal's own file, with every line in it, and at first its folder."""
    synced = []
    real = os.fsync

    def fsync(descriptor):
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with RowJournal(path, RUN, resume=False) as journal:
        assert [inode for inode, _ in synced] == [path.stat().st_ino, path.parent.stat().st_ino]
        journal.append([("k1", reply("a"))])
        assert synced[2:] == [(path.stat().st_ino, path.stat().st_size)]


def test_entries_of_any_kind(path):
    seen = []
    with Journal(path, {"seed": 0}, resume=False, entry=lambda place, content: seen.append(content)) as journal:
        places = journal.append([{"arm": "a"}, {"arm": "b"}])
        assert [journal.read(place) for place in places] == [{"arm": "a"}, {"arm": "b"}]
    assert [json.loads(line[9:]) for line in path.read_text().splitlines()[1:]] == [{"arm": "a"}, {"arm": "b"}]
    with Journal(path, {"seed": 0}, resume=True, entry=lambda place, content: seen.append(content)):
        assert seen == [{"arm": "a"}, {"arm": "b"}]
