import importlib.util

import pytest
from PIL import Image

from noisediag.errors import UsageError
from noisediag.footprint.plane import CurvePoint
from noisediag.reports import plots


def test_draws_every_plane(footprint, tmp_path):
    path = tmp_path / "curve.part"
    plots.noise_curve(footprint, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        colours = image.convert("RGB").getcolors(maxcolors=1 << 20)
    drawn = {colour for _, colour in colours}
    assert (0, 0, 0) in drawn  # all
    assert (0xC0, 0x39, 0x2B) in drawn or (0x24, 0x71, 0xA3) in drawn


def test_a_curve_that_log_axes_cannot_show_is_left_out(make_footprint, make_plane, tmp_path):
    flat = make_plane(curve=(CurvePoint(0.0, 0.0, 0.0, 0.0),))
    plots.noise_curve(make_footprint(planes=(flat,), path="$x$.tif"), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 0


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"noisediag\[plot\]"):
        plots.require()
