"""`--linear`: codes that are proportional to light, whatever the format makes of them."""

import numpy as np
import PIL.Image
import pytest
import tifffile

from noisediag.errors import UsageError
from noisediag.images import from_array, read

SIZE = (48, 64)


@pytest.fixture
def colours():
    return np.random.default_rng(2).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def described(image):
    return [
        (p.channel, p.name, p.shape, p.black_dn, p.white_dn, p.scale_source, p.offset_known, p.white_known, p.bit_depth)
        for p in image.planes
    ]


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "tif"])
def test_colours_are_channels_of_a_linear_file(tmp_path, colours, kind):
    path = tmp_path / f"a.{kind}"
    PIL.Image.fromarray(colours).save(path)
    assert read(path).domain == "rendered"
    image = read(path, linear=True)
    assert (image.domain, image.jpeg) == ("linear", None)
    known = (SIZE, 0.0, 255.0, "assumed", False, False, 8)
    assert described(image) == [(c, c, *known) for c in "RGB"]
    with_black = read(path, linear=True, black=3, channel="G").planes
    assert [(p.name, p.black_dn, p.offset_known) for p in with_black] == [("G", 3.0, True)]


def test_the_same_pixels_are_the_same_in_every_format(tmp_path, colours):
    PIL.Image.fromarray(colours[..., 0]).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", colours[..., 0])
    one, other = read(tmp_path / "a.png", linear=True), read(tmp_path / "a.tif")
    assert one.domain == other.domain == "linear"
    assert described(one) == described(other)
    np.testing.assert_array_equal(one.planes[0].load(), other.planes[0].load())
    assert described(read(tmp_path / "a.tif", linear=True)) == described(other)  # it is linear as it is


def test_an_array(colours):
    assert from_array(colours).domain == "rendered"
    image = from_array(colours, linear=True)
    assert (image.domain, [p.channel for p in image.planes]) == ("linear", ["R", "G", "B"])


def test_luma_is_a_channel_of_rendered_colours(tmp_path, colours):
    PIL.Image.fromarray(colours).save(tmp_path / "a.png")
    PIL.Image.fromarray(colours[..., 0]).save(tmp_path / "g.png")
    image = read(tmp_path / "a.png", channel="luma", roi=(0, 0, 32, 24))
    assert image.luma_only
    assert [(p.name, p.shape) for p in image.planes] == [(c, (24, 32)) for c in "RGB"]
    assert [p.name for p in read(tmp_path / "g.png", channel="luma").planes] == ["gray"]
    for options in ({"linear": True}, {"channel": "alpha"}):
        with pytest.raises(UsageError, match="no channel"):
            read(tmp_path / "a.png", **{"channel": "luma", **options})
