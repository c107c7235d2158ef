import pytest

from noisediag.errors import UsageError
from noisediag.reports.files import check, replacing


def test_writes_whole_files(tmp_path):
    target = tmp_path / "a.json"
    with replacing(target) as part:
        part.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_leaves_nothing_behind_when_it_fails(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")

    def write_half():
        with replacing(target, force=True) as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_refuses_an_existing_file_without_force(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(UsageError, match="--force"), replacing(target):
        pass
    with replacing(target, force=True) as part:
        part.write_text("new")
    assert target.read_text() == "new"


def test_never_overwrites_an_input(tmp_path):
    picture = tmp_path / "a.tif"
    picture.write_bytes(b"pixels")
    with pytest.raises(UsageError, match="input"):
        check(picture, inputs=[tmp_path / "." / "a.tif"], force=True)


def test_a_missing_folder_is_named_before_the_work(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        check(tmp_path / "no" / "a.json")
    with pytest.raises(UsageError, match="folder"):
        check(tmp_path)


def test_what_the_system_refuses_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"), replacing(tmp_path / "a.json"):
        raise OSError(28, "No space left on device")
