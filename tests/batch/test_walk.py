import os
from pathlib import Path

import pytest

from noisediag.batch import keys, walk
from noisediag.batch.walk import Shard, Walk
from noisediag.errors import UsageError


def found(folder, **options):
    return [os.path.relpath(entry.path, folder) for entry in Walk(folder, **options).find().entries]


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_pictures_by_name_in_byte_order_of_their_paths(tmp_path):
    make(tmp_path, "b.TIF", "a/z.png", "a.dng", "notes.txt", ".hidden.png", ".cache/x.png", "a/=1+1.jpg")
    result = Walk(tmp_path).find()
    assert [os.path.relpath(entry.path, tmp_path) for entry in result.entries] == [
        *("a.dng", "a/=1+1.jpg", "a/z.png", "b.TIF")
    ]
    assert result.skipped == 2
    assert found(tmp_path, hidden=True)[:2] == [".cache/x.png", ".hidden.png"]


def test_patterns_of_names_and_of_paths(tmp_path):
    make(tmp_path, "a.tif", "sub/b.TIF", "sub/c.png", "thumbs/d.tif", "thumbs/deep/e.tif", "f.dat")
    assert found(tmp_path, include=["*.tif"]) == ["a.tif", "sub/b.TIF", "thumbs/d.tif", "thumbs/deep/e.tif"]
    assert found(tmp_path, include=["sub/*"]) == ["sub/b.TIF", "sub/c.png"]
    assert found(tmp_path, exclude=["thumbs", "*.png"]) == ["a.tif", "sub/b.TIF"]
    assert found(tmp_path, include=["*.dat"]) == ["f.dat"]


def test_links_to_folders_are_followed_once_and_lose_against_the_folder(tmp_path):
    make(tmp_path, "in/real/a.tif", "elsewhere/b.tif")
    (tmp_path / "in" / "a_link").symlink_to("real")
    (tmp_path / "in" / "real" / "up").symlink_to("..")
    (tmp_path / "in" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "gone.tif").symlink_to("nowhere")
    (tmp_path / "in" / "self.tif").symlink_to("self.tif")
    assert found(tmp_path / "in") == ["gone.tif", "out/b.tif", "real/a.tif", "self.tif"]


def test_a_folder_called_like_a_picture_has_a_row_and_is_entered(tmp_path):
    make(tmp_path, "x.tif/a.tif")
    first, second = Walk(tmp_path).find().entries
    assert (first.failure.code, first.failure.message) == ("unreadable", "is a directory")
    assert second.failure is None


def test_a_folder_that_cannot_be_listed_has_a_row(tmp_path, monkeypatch):
    make(tmp_path, "a.tif", "locked/b.tif")
    listed = os.scandir

    def scandir(path):
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(walk.os, "scandir", scandir)
    _, locked = Walk(tmp_path).find().entries
    assert locked.failure.code == "permission"


def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.tif")).write_bytes(b"x")
    assert [os.fsencode(entry.path)[-5:] for entry in Walk(tmp_path).find().entries] == [b"\xff.tif"]


def test_every_file_is_in_one_shard_wherever_the_folder_lies(tmp_path):
    names = [f"{number}.tif" for number in range(60)]
    make(tmp_path / "a", *names)
    make(tmp_path / "b", *names)
    parts = [found(tmp_path / "a", shard=Shard(index, 3)) for index in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert min(len(part) for part in parts) > 10
    assert found(tmp_path / "b", shard=Shard(2, 3)) == parts[1]


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4"])
def test_shards_that_are_none(text):
    with pytest.raises(UsageError, match="--shard"):
        Shard.parse(text)


def test_no_folder(tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        Walk(tmp_path / "gone").find()


def test_the_folder_one_stands_in_has_paths_as_pathlib_spells_them(tmp_path, monkeypatch):
    """Rows are found again by their path: `batch .` must not look for ./a.tif where the worker wrote a.tif."""
    make(tmp_path, "a.tif", "sub/b.tif")
    monkeypatch.chdir(tmp_path)
    assert [entry.path for entry in Walk(Path()).find().entries] == ["a.tif", "sub/b.tif"]


def test_a_zarr_store_is_a_file_and_a_plate_its_fields(tmp_path):
    make(tmp_path, "image/0/0.0", "plate.zarr/A/1/0/0/0.0", "plate.zarr/A/1/1/0/0.0", "b.tif", "empty.zarr/notes.txt")
    group, array = '{"zarr_format": 2}', '{"zarr_format": 2, "shape": [64, 64]}'
    for place in ("image", "plate.zarr", "plate.zarr/A/1", "plate.zarr/A/1/0", "plate.zarr/A/1/1"):
        (tmp_path / place / ".zgroup").write_text(group)
    (tmp_path / "image/0/.zarray").write_text(array)
    (tmp_path / "plate.zarr/.zattrs").write_text('{"plate": {"wells": [{"path": "A/1"}]}}')
    (tmp_path / "plate.zarr/A/1/.zattrs").write_text('{"well": {"images": [{"path": "0"}, {"path": "1"}]}}')
    fields = ["plate.zarr/A/1/0", "plate.zarr/A/1/1"]
    assert found(tmp_path) == ["b.tif", "empty.zarr", "image", *fields]
    assert found(tmp_path, include=["*.zarr"]) == ["empty.zarr", *fields]
    assert found(tmp_path, include=["*/1/1"], exclude=["empty*"]) == fields[1:]
    assert found(tmp_path, exclude=["plate*"]) == ["b.tif", "empty.zarr", "image"]
    assert found(tmp_path / "plate.zarr") == ["A/1/0", "A/1/1"]
    before = Walk(tmp_path).find().entries
    assert before[1].failure.message == "is a directory"
    (tmp_path / "image/0/0.0").write_bytes(b"other")
    after = Walk(tmp_path).find().entries
    assert [one.key == other.key for one, other in zip(before, after, strict=True)] == [True, True, False, True, True]
    assert [keys.by_content(Path(one.path)) for one in after[3:]] == [
        keys.by_content(Path(one.path)) for one in before[3:]
    ]
    assert keys.by_content(Path(after[2].path)) != keys.by_content(Path(after[3].path))
    (tmp_path / "plate.zarr/.zattrs").write_text('{"plate": {"wells": [{"path": "../image"}]}}')
    (bad,) = Walk(tmp_path / "plate.zarr").find().entries
    assert (bad.failure.code, "not followed" in bad.failure.message) == ("unsupported", True)


def test_packed_pictures_go_by_the_name_within(tmp_path):
    make(tmp_path, "a.fits.gz", "b.tar.gz", "c.txt.gz", "d.NII.GZ", "e.gz")
    assert found(tmp_path) == ["a.fits.gz", "d.NII.GZ"]
