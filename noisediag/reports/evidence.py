"""What the pixels say of the law and the levels, and of places and pixels with another noise, as rows of the table."""

from __future__ import annotations

from collections.abc import Iterator

from noisediag.footprint.file import Footprint
from noisediag.reports.numbers import number

_SOURCES = {"variance": "by the noise", "masked": "by the masked border", "floor": "by the lowest values"}


def evidence(footprint: Footprint) -> Iterator[tuple[str, str, str]]:
    """Label, number and remark of what is known of the file's own plane."""
    plane = footprint.planes[-1]
    if plane.light is not None:
        yield "law", "", f"{plane.light.name} ({100 * plane.light.probability:.0f} %)"
    if (ceiling := plane.saturation) is not None:
        scatter = f"+- {number(ceiling.scatter_dn, 2)} DN, " if ceiling.scatter_dn else "DN, "
        remark = f"{scatter}{_percent(ceiling.share)} of the pixels; stated white {ceiling.stated_white_dn:g}"
        yield "saturates at", f"{ceiling.level_dn:.5g}", remark
    if plane.black is not None:
        remark = f"DN, {_SOURCES[plane.black.source]}; stated {plane.black.stated_dn:g}"
        yield "black", f"{plane.black.fitted_dn:.5g}", remark
    if plane.missing_share:
        yield "missing pixels", _percent(plane.missing_share), "left out"
    if footprint.uneven is not None:
        low, high = footprint.uneven
        yield "uneven", f"{low:.2f} .. {high:.2f}", "times the curve's sigma, in parts of the picture"
    if (hot := plane.hot_pixels) is not None:
        mean, median = number(hot.mean_excess_dn, 2), number(hot.median_excess_dn, 2)
        yield "hot pixels", _percent(hot.share), f"by {mean} DN in the mean, {median} in the median"
    if footprint.structure.periodic_share:
        yield "one wave", _percent(footprint.structure.periodic_share), "of the noise's variance"


def _percent(share: float) -> str:
    return f"{number(100 * share, 2)} %"
