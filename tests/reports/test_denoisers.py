import numpy as np
import pytest

from noisediag.errors import UsageError
from noisediag.footprint.plane import CurvePoint
from noisediag.reports.denoisers import av1, bm3d, encoded_sigma, fastdvdnet, photon_noise_iso, quiet_value

WIDTH, HEIGHT = 1920, 1080


@pytest.fixture
def frame(make_footprint, make_plane):
    """A rendered frame with the film grain of an ISO."""

    def make(iso: float, **changes):
        signals = np.linspace(0.05, 0.9, 16)
        sigmas = encoded_sigma(signals, iso, WIDTH, HEIGHT)
        curve = tuple(
            CurvePoint(x, s, 0.9 * s, 1.1 * s) for x, s in zip(signals.tolist(), sigmas.tolist(), strict=True)
        )
        plane = make_plane(curve=curve, shape=(HEIGHT, WIDTH), **changes)
        return make_footprint(planes=(plane,), domain="rendered", path="frame.png")

    return make


def test_the_number_is_the_effective_sigma_on_the_scale_asked_for(make_footprint, make_plane):
    footprint = make_footprint(planes=(make_plane(effective_sigma=0.02),))
    assert (quiet_value(footprint), quiet_value(footprint, 255)) == ("0.02", "5.1")
    assert bm3d(footprint) == "sigma_psd=0.02"
    assert fastdvdnet(footprint) == "--noise_sigma 5.1"


def test_of_a_colour_picture_it_is_that_of_a_channel(make_footprint, make_plane):
    """Independent noise of one size in R, G and B: luma has 0.67 of it, which would be too little for a denoiser."""
    sigmas = {"R": 0.03, "G": 0.02, "B": 0.04, "luma": 0.02}
    colour = make_footprint(
        planes=tuple(make_plane(name, effective_sigma=sigma) for name, sigma in sigmas.items()), domain="rendered"
    )
    wanted = np.sqrt((0.03**2 + 0.02**2 + 0.04**2) / 3)
    assert float(quiet_value(colour, 255)) == pytest.approx(255 * wanted, rel=1e-3)
    assert bm3d(colour) == f"sigma_psd={wanted:.4g}"
    assert fastdvdnet(colour) == f"--noise_sigma {255 * wanted:.4g}"
    assert colour.derived.sigma_effective == 0.02
    assert quiet_value(make_footprint(planes=colour.planes[-1:], domain="rendered")) == "0.02"  # --channel luma


def test_channels_of_a_linear_picture_are_no_other_colours(make_footprint, make_plane):
    planes = [make_plane(name, channel=name, effective_sigma=0.01 * (i + 1)) for i, name in enumerate("RGB")]
    planes += [make_plane("all", channel=name, effective_sigma=0.01 * (i + 1)) for i, name in enumerate("RGB")]
    assert float(quiet_value(make_footprint(planes=tuple(planes), domain="linear"))) == pytest.approx(0.0216, abs=1e-4)
    planes[0] = make_plane("R", channel="R", white_dn=4095.0)
    with pytest.raises(UsageError, match="--channel"):
        quiet_value(make_footprint(planes=tuple(planes), domain="linear"))


def test_a_raw_file_has_its_own(make_footprint, make_plane):
    planes = tuple(make_plane(name, effective_sigma=0.01) for name in "RGB")
    assert quiet_value(make_footprint(planes=(*planes, make_plane("all", effective_sigma=0.03)))) == "0.03"


def test_a_known_value_of_the_encoders_camera():
    """18 % grey of a 1920 x 1080 frame at ISO 6400, by hand: 1466 electrons, shot and response noise, sRGB's slope."""
    electrons = 0.2 * 11260 * 10 / 6400 * 36000 * 24000 / (WIDTH * HEIGHT)
    assert electrons == pytest.approx(1466, abs=1)
    linear = np.sqrt(1.5**2 + electrons + (0.005 * electrons) ** 2) / (electrons / 0.18)
    slope = 1.055 / 2.4 * 0.18 ** (1 / 2.4 - 1)
    grey = 1.055 * 0.18 ** (1 / 2.4) - 0.055
    assert encoded_sigma(np.array([grey]), 6400, WIDTH, HEIGHT)[0] == pytest.approx(linear * slope, rel=0.01)


@pytest.mark.parametrize("iso", [100, 1600, 25600])
def test_the_iso_comes_back(frame, iso):
    assert photon_noise_iso(frame(iso)) == pytest.approx(iso, rel=0.05)
    assert av1(frame(iso)).startswith("--photon-noise ")


def test_grain_needs_a_rendered_picture_with_noise(frame, make_footprint):
    with pytest.raises(UsageError, match="rendered pictures"):
        av1(make_footprint())
    clean = frame(100)
    nothing = tuple(CurvePoint(p.signal, p.sigma, 0.0, p.high) for p in clean.planes[0].curve)
    plane = clean.planes[0].__class__(**{**clean.planes[0].__dict__, "curve": nothing})
    with pytest.raises(UsageError, match="no noise was found"):
        av1(make_footprint(planes=(plane,), domain="rendered"))
