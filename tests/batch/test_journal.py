import pytest

from noisediag.batch.journal import Journal
from noisediag.errors import UsageError

RUN = {"checkpoint": "0" * 64, "gain": None}


def reply(path, value=0):
    return {"row": {"path": path, "value": value}, "csv": f"{path}\n"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "r.jsonl.journal"


@pytest.fixture
def written(path):
    with Journal(path, RUN, resume=False) as journal:
        journal.append([("k1", reply("a")), ("k2", reply("b"))])
        journal.append([("k3", reply("c"))])
    return path


def again(path, run=RUN):
    return Journal(path, run, resume=True)


def test_what_was_appended_is_there_again(written):
    with again(written) as journal:
        assert [journal.key(name) for name in "abcd"] == ["k1", "k2", "k3", None]
        assert [item["csv"] for item in journal.replies(["c", "a"])] == ["c\n", "a\n"]


def test_the_later_line_of_a_file_holds(written):
    with again(written) as journal:
        journal.append([("k4", reply("a", 1))])
    with again(written) as journal:
        assert journal.key("a") == "k4"
        assert next(journal.replies(["a"]))["row"]["value"] == 1


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_line_does_not_count_and_is_cut_off(written, cut):
    whole = written.read_bytes()
    written.write_bytes(whole[:-cut])
    with again(written) as journal:
        assert (journal.key("b"), journal.key("c")) == ("k2", None)
        journal.append([("k3", reply("c"))])
    assert written.read_bytes() == whole


def test_blocks_that_never_reached_the_disk(written):
    lines = written.read_bytes().splitlines(keepends=True)
    lines[1] = bytes(len(lines[1]) - 1) + b"\n"
    written.write_bytes(b"".join(lines) + bytes(4096))
    with again(written) as journal:
        assert [journal.key(name) for name in "abc"] == [None, "k2", "k3"]
        journal.append([("k1", reply("a"))])
    with again(written) as journal:
        assert journal.key("a") == "k1"


def test_a_torn_first_line_begins_anew(path):
    for content in (b"", b'{"journal": "noise'):
        path.write_bytes(content)
        with again(path) as journal:
            journal.append([("k1", reply("a"))])
        with again(path) as journal:
            assert journal.key("a") == "k1"


@pytest.mark.parametrize(
    ("run", "word"), [({**RUN, "gain": 2.0}, "gain none, not 2.0"), ({**RUN, "checkpoint": "1"}, "checkpoint")]
)
def test_other_options_are_refused(written, run, word):
    before = written.read_bytes()
    with pytest.raises(UsageError, match=word):
        again(written, run)
    assert written.read_bytes() == before


def test_something_else_is_refused(path):
    path.write_text("my notes\n")
    with pytest.raises(UsageError, match="no journal"):
        again(path)
    assert path.read_text() == "my notes\n"


def test_two_at_a_time_are_refused(written):
    with again(written), pytest.raises(UsageError, match="another run"):
        again(written)


def test_names_that_are_not_utf8(path):
    row = {"path": "\\xff.tif", "path_bytes": "/y50aWY="}
    with Journal(path, RUN, resume=False) as journal:
        journal.append([("k", {"row": row, "csv": ""})])
        assert journal.key("\udcff.tif") == "k"
