"""Footprints as plain dicts, lists and numbers: the objects of `noisediag.report/1`.

Six significant digits, no NaN or infinity, null for what is unknown, no lone surrogates.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from noisediag.footprint.derived import Derived, Structure
from noisediag.footprint.file import Footprint, Measurement, Rejected, Rendered
from noisediag.footprint.plane import BlackCheck, CurvePoint, Estimate, LightLaw, PlaneFootprint, SaturationLevel
from noisediag.footprint.values import Quantity
from noisediag.reports import bounds
from noisediag.traces.hot_pixels import HotPixels

# Written field by field.
_WRITTEN = (BlackCheck, CurvePoint, Derived, HotPixels, LightLaw, Measurement, Rejected, SaturationLevel, Structure)


def path_fields(path: str | None) -> dict[str, str | None]:
    r"""`path` as JSON can hold it; a name that is not UTF-8 has \xNN escapes, and its bytes in base64 beside it."""
    if path is None:
        return {"path": None}
    raw = os.fsencode(path)
    shown = raw.decode("utf-8", "backslashreplace")
    if shown.encode() == raw:
        return {"path": shown}
    return {"path": shown, "path_bytes": base64.b64encode(raw).decode("ascii")}


def plane_dict(plane: PlaneFootprint) -> dict[str, Any]:
    """One of the `planes` of `noisediag.report/1`."""
    return {
        "name": plane.name,
        "frame": plane.frame,
        "shape": list(plane.shape),
        "bit_depth": plane.bit_depth,
        "black_dn": _number(plane.black_dn),
        "white_dn": _number(plane.white_dn),
        "scale_source": plane.scale_source,
        "curve": [
            {
                "signal": _number(point.signal),
                "sigma": _number(point.sigma),
                "low": _number(point.low),
                "high": _number(point.high),
            }
            for point in plane.curve
        ],
        "parameters": [_parameter_dict(estimate) for estimate in plane.parameters],
        "channel": None if plane.channel is None else bounds.text(plane.channel),
        "flags": list(plane.flags),
        "law": plain(plane.light),
        "saturation": plain(plane.saturation),
        "black": plain(plane.black),
        "missing_share": _number(plane.missing_share),
        "correlated_share": _number(plane.correlated_share),
        "hot_pixels": plain(plane.hot_pixels),
    }


def _rendered_dict(rendered: Rendered) -> dict[str, Any]:
    whole = rendered.planes[-1]
    return {
        "jpeg_quality": rendered.jpeg_quality,
        "jpeg_standard": rendered.jpeg_standard,
        "block_strength": _number(rendered.block_strength),
        "lag1_h": _number(whole.lag1_h),
        "lag1_v": _number(whole.lag1_v),
        "equivalent_blur_px": _number(whole.equivalent_blur_px),
        "channel_correlation": plain(rendered.channel_correlation),
        "sigma_after_area_2_4_8": plain(whole.sigma_after_area),
        "processed": _number(rendered.processed),
        "denoised": _number(rendered.denoised),
        "upscaled": _number(rendered.upscaled),
        "resaved": rendered.resaved,
        "planes": [
            {
                "name": plane.name,
                "lag1_h": _number(plane.lag1_h),
                "lag1_v": _number(plane.lag1_v),
                "equivalent_blur_px": _number(plane.equivalent_blur_px),
                "sigma_after_area_2_4_8": plain(plane.sigma_after_area),
            }
            for plane in rendered.planes
        ],
    }


def _parameter_dict(estimate: Estimate) -> dict[str, Any]:
    keys = (
        "name",
        "symbol",
        "unit",
        "value",
        "low",
        "high",
        "value_dn",
        "low_dn",
        "high_dn",
        "level",
        "present",
        "flag",
    )
    found = {key: plain(getattr(estimate, key)) for key in keys}
    return found if estimate.word is None else {**found, "value": bounds.text(estimate.word)}


def plain(value: Any) -> Any:
    """`value` in JSON's own types: tuples become lists, dataclasses and mappings dicts, foreign types their text."""
    if isinstance(value, float):  # the commonest first
        return _number(value)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return bounds.text(value)
    if isinstance(value, Quantity):
        keys = ("value", "low", "high", "unit", "symbol")
        return {key: plain(getattr(value, key)) for key in keys}
    if isinstance(value, _WRITTEN):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {bounds.text(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    return bounds.text(str(value))


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def image_dict(footprint: Footprint) -> dict[str, Any]:
    """The `images[i]` object of `noisediag.report/1`."""
    return {
        **path_fields(footprint.path),
        "sha256": footprint.sha256,
        "status": "ok",
        "reader": footprint.reader,
        "domain": footprint.domain,
        "acquisition": tags(footprint),
        "planes": [plane_dict(plane) for plane in footprint.planes],
        "derived": plain(footprint.derived),
        "structure": {**plain(footprint.structure), "verdict": footprint.structure.verdict},
        "rendered": None if footprint.rendered is None else _rendered_dict(footprint.rendered),
        "uneven": _uneven(footprint.uneven),
        "flags": list(footprint.flags),
        "warnings": warnings(footprint),
        **({} if footprint.measurement is None else {"how": "measured", "measurement": plain(footprint.measurement)}),
        **({} if footprint.measured is None else {"measured": image_dict(footprint.measured)}),
    }


def _uneven(factors: tuple[float, float] | None) -> dict[str, float | None] | None:
    return None if factors is None else {"low": _number(factors[0]), "high": _number(factors[1])}


def tags(footprint: Footprint) -> dict[str, Any]:
    """`footprint.acquisition` in plain types."""
    return {key: plain(item) for key, item in bounds.tags(footprint.acquisition).items()}


def warnings(footprint: Footprint) -> list[str]:
    """`footprint.warnings` as reports show them."""
    found = [bounds.message(warning, footprint.path) for warning in footprint.warnings[: bounds.WARNINGS]]
    more = len(footprint.warnings) - len(found)
    return [*found, f"and {more} more"] if more else found
