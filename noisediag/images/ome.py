"""OME-XML in the description of a TIFF file: bits, channel names, camera."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any

import tifffile

HEAD = 2000  # characters of an image description that hold the XML declaration, a comment and the root element


@dataclass(frozen=True)
class Ome:
    """What OME-XML says of the first image of a file."""

    significant_bits: int | None
    channels: tuple[str, ...]
    acquisition: dict[str, Any]


NOTHING = Ome(None, (), {})


def read(tiff: tifffile.TiffFile, warnings: list[str], number: int = 0) -> Ome:
    """SignificantBits, channel names and acquisition tags of an OME-TIFF's first image, or that of `number`.

    `warnings` is told where they are damaged. tifffile takes only descriptions that end as OME-XML for such.
    """
    description = tiff.pages.first.description
    if "<OME" not in description[:HEAD]:
        return NOTHING
    unreadable = "OME metadata unreadable ({}): bit depth and channel names unknown"
    try:
        root = ElementTree.fromstring(description)
    except (ElementTree.ParseError, ValueError) as error:
        warnings.append(unreadable.format(error))
        return NOTHING
    pixels = next(iter(root.findall(".//{*}Pixels")[number:]), None)
    if pixels is None:
        warnings.append(unreadable.format("no Pixels element"))
        return NOTHING
    bits = pixels.get("SignificantBits", "")
    if bits and not bits.isdecimal():
        warnings.append(f"OME SignificantBits {bits!r} is no number: bit depth unknown")
    names = tuple(str(node.get("Name") or node.get("ID", "")) for node in pixels.findall("{*}Channel"))
    found: dict[str, Any] = {}
    plane, detector = pixels.find("{*}Plane"), root.find(".//{*}Detector")
    settings = pixels.find(".//{*}DetectorSettings")
    for name, node, attribute in (
        ("ExposureTime", plane, "ExposureTime"),
        ("DetectorGain", settings, "Gain"),  # a setting, not e-/DN
        ("DetectorOffset", settings, "Offset"),
    ):
        value = _number(node, attribute, warnings)
        if value is not None:
            found[name] = value
    for name, attribute in (("Make", "Manufacturer"), ("Model", "Model")):
        if detector is not None and detector.get(attribute):
            found[name] = detector.get(attribute)
    return Ome(int(bits) if bits.isdecimal() else None, names, found)


def _number(node: ElementTree.Element | None, attribute: str, warnings: list[str]) -> float | None:
    """An attribute as a number; None where it is absent, and, told to `warnings`, where it is none."""
    text = None if node is None else node.get(attribute)
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        warnings.append(f"OME {attribute} {text!r} is no number: ignored")
        return None
