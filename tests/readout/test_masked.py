"""A black that masked pixels contradict is flagged and told, and so is another read noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from noisediag import images
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint
from noisediag.images.image import Image, Masked
from noisediag.readout import masked


def footprint(shown: Masked | None) -> tuple[Footprint, Image]:
    rng = np.random.default_rng(1)
    light = np.linspace(0, 3000, 192)[None].repeat(192, 0)
    codes = np.rint(500 + 2 * rng.poisson(light / 2) + 6 * rng.standard_normal(light.shape)).astype(np.uint16)
    image = images.from_array(codes, black=500, white=4095)
    image = replace(image, planes=tuple(replace(plane, masked=shown) for plane in image.planes))
    return Estimator().estimate(image), image


def test_what_masked_pixels_contradict_is_flagged() -> None:
    found, _ = footprint(Masked(500.2, 6, stated_dn=0))
    for plane in found.planes:
        assert plane.black is not None
        assert (plane.black.stated_dn, plane.black.fitted_dn, plane.black.source) == (0, 500.2, "masked")
        assert "black_doubtful" in plane.flags
    assert "black_doubtful" in found.flags
    assert any("masked pixels show black 500.2 DN, not the stated 0" in line for line in found.warnings)


def test_what_agrees_is_not_told() -> None:
    for shown in (None, Masked(500.2, 6, stated_dn=500)):
        found, _ = footprint(shown)
        assert found.planes[-1].black is None
        assert "black_doubtful" not in found.flags
        assert not any("masked" in line for line in found.warnings)


def test_another_read_noise_is_told() -> None:
    found, image = footprint(None)
    planes = [replace(plane, masked=Masked(500, 60, stated_dn=500)) for plane in image.planes]
    assert any("read noise of 60 DN" in line for line in masked.doubts(found.planes[-1], planes))
