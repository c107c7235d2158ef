"""What follows from a plane whose black or white is not known: nothing that needs it."""

from __future__ import annotations

import pytest

from noisediag.footprint.derived import derive
from noisediag.footprint.plane import SaturationLevel


def test_both_known_give_electrons_at_white(make_plane):
    derived = derive(make_plane(), domain="linear")
    assert derived.electrons_at_white == pytest.approx(1 / 2.1e-5)
    assert derived.dynamic_range_stops is not None


@pytest.mark.parametrize("unknown", ["offset_known", "white_known"])
def test_electrons_at_white_need_both(make_plane, unknown):
    """The light at white is (white - black) / K: an assumed black would be taken for a measured one."""
    derived = derive(make_plane(**{unknown: False}), domain="linear")
    assert derived.electrons_at_white is None
    assert derived.dynamic_range_stops is None
    assert derived.K.value is not None  # the gain is DN a electron, whatever black is


@pytest.mark.parametrize("white_known", [True, False])
def test_electrons_at_white_are_those_at_the_measured_saturation(make_plane, white_known):
    plane = make_plane(white_known=white_known)
    black, white = plane.black_dn, plane.white_dn
    level = SaturationLevel(black + 0.5 * (white - black), 5.0, 0.1, white)
    measured = make_plane(white_known=white_known, saturation=level, flags=("saturation_measured",))
    derived, stated = derive(measured, domain="linear"), derive(make_plane(), domain="linear")
    assert derived.electrons_at_white == pytest.approx(0.5 * stated.electrons_at_white)
    assert derived.dynamic_range_stops == pytest.approx(stated.dynamic_range_stops - 1)
