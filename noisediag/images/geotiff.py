"""What GeoTIFF and GDAL add to a TIFF file: names and scales of bands, and the size of a pixel on the ground."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

GEO_KEYS = 34735
_GDAL_METADATA = 42112
_DEGREE, _METRE = "degree", "m"
_PROJECTED, _GEOGRAPHIC, _METRE_CODE = 1, 2, 9001  # GTModelTypeGeoKey, ProjLinearUnitsGeoKey


@dataclass(frozen=True)
class Bands:
    """Descriptions of bands by their number, and acquisition tags."""

    names: dict[int, str]
    acquisition: dict[str, Any]


def read(page: Any, warnings: list[str]) -> Bands:
    """What the first page says; nothing of a plain TIFF file. `warnings` is told where GDAL's part is damaged."""
    acquisition: dict[str, Any] = {}
    if GEO_KEYS in page.tags:
        acquisition |= _pixel_size(page)
    text = page.tags.valueof(_GDAL_METADATA)
    if not isinstance(text, str):
        return Bands({}, acquisition)
    try:
        items = list(ElementTree.fromstring(text.strip("\0 \n")).iter("Item"))
    except (ElementTree.ParseError, ValueError) as error:
        warnings.append(f"GDAL metadata unreadable ({error}): names and scales of bands unknown")
        return Bands({}, acquisition)
    names: dict[int, str] = {}
    for item in items:
        sample, role, value = item.get("sample", ""), item.get("role"), (item.text or "").strip()
        if role == "description" and sample.isdecimal() and value:
            names[int(sample)] = value
        for kind, tag in (("scale", "RescaleSlope"), ("offset", "RescaleIntercept")):
            if role == kind and tag not in acquisition:
                acquisition |= _number(tag, value)
        if role == "unittype" and value:
            acquisition.setdefault("Unit", value)
    return Bands(names, acquisition)


def _pixel_size(page: Any) -> dict[str, Any]:
    keys = page.geotiff_tags or {}
    scale: Sequence[float] = keys.get("ModelPixelScale") or ()
    if len(scale) < 2 or not min(scale[:2]) > 0:
        return {}
    model, unit = keys.get("GTModelTypeGeoKey"), keys.get("ProjLinearUnitsGeoKey", _METRE_CODE)
    units = {_GEOGRAPHIC: _DEGREE} | ({_PROJECTED: _METRE} if unit == _METRE_CODE else {})
    size = {"PixelSize": [float(scale[1]), float(scale[0])]}
    return size | ({"PixelSizeUnit": units[model]} if model in units else {})


def _number(tag: str, text: str) -> dict[str, Any]:
    try:
        return {tag: float(text)}
    except ValueError:
        return {}
