"""What a row is known by: size and time, or content, of the file and of those beside it that it names."""

import os

import numpy as np
import pytest
import tifffile

from noisediag.batch import keys
from noisediag.batch.walk import Walk

OWN, OTHER = "urn:uuid:1", "urn:uuid:2"


def entry(path):
    return next(found for found in Walk(path.parent).find().entries if found.path == str(path))


def naming(path, other):
    """An OME-TIFF whose second frame stands in `other`."""
    data = "".join(
        f'<TiffData FirstC="0" FirstT="{t}" FirstZ="0" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">{key}</UUID></TiffData>'
        for t, (name, key) in enumerate(((path.name, OWN), (other, OTHER)))
    )
    xml = (
        f'<?xml version="1.0"?><OME UUID="{OWN}" xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="40" SizeY="32" '
        f'SizeC="1" SizeZ="1" SizeT="2">{data}</Pixels></Image></OME>'
    )
    tifffile.imwrite(path, np.zeros((32, 40), np.uint16), description=xml, metadata=None)


def test_size_and_time(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"x")
    found = entry(path)
    assert keys.beside(path) == ""
    assert keys.unchanged(found.key, found)
    assert not keys.unchanged(None, found)
    assert not keys.unchanged("", found)
    assert not keys.unchanged(f"{found.key}0", found)
    os.utime(path, ns=(1, 1))
    assert not keys.unchanged(found.key, entry(path))


def test_a_sibling_counts_and_so_does_one_that_is_missing(tmp_path):
    path, other = tmp_path / "a.ome.tif", tmp_path / "b.tif"
    naming(path, "b.tif")
    missing = entry(path).key + keys.beside(path)
    assert keys.unchanged(missing, entry(path))
    other.write_bytes(b"x")
    there = entry(path).key + keys.beside(path)
    assert not keys.unchanged(missing, entry(path))
    assert keys.unchanged(there, entry(path))
    os.utime(other, ns=(1, 1))
    assert not keys.unchanged(there, entry(path))
    assert not keys.unchanged(there[:-1], entry(path))


def test_content(tmp_path):
    path, other = tmp_path / "a.ome.tif", tmp_path / "b.tif"
    naming(path, "b.tif")
    digests = [keys.by_content(path)]
    for content in (b"x", b"y", b""):
        other.write_bytes(content)
        digests.append(keys.by_content(path))
    assert len({*digests}) == 4
    os.utime(other, ns=(1, 1))
    os.utime(path, ns=(1, 1))
    assert keys.by_content(path) == digests[-1]
    plain = tmp_path / "c.npy"
    plain.write_bytes(b"x")
    assert keys.by_content(plain) == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_is_no_file_has_no_content(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    for name in ("pipe.tif", "gone.tif", ".", "a\0b"):
        assert keys.by_content(tmp_path / name) is None
        assert keys.beside(tmp_path / name) == ""


@pytest.mark.parametrize("name", ["../b.tif", "/dev/zero", "b/c.tif", "x" * 5000])
def test_other_names_are_no_siblings(tmp_path, name):
    naming(tmp_path / "a.ome.tif", name)
    assert keys.beside(tmp_path / "a.ome.tif") == ""
