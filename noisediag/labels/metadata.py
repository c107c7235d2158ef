"""What DNG files state of their own noise, as weak labels: to learn from, never to judge by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from noisediag import images
from noisediag.errors import UnsupportedError
from noisediag.genome.parameters import parameter
from noisediag.labels.table import LabelRow, LabelTable

NAMES = ("shot_gain", "read_noise")  # what the tag NoiseProfile knows


def stated(path: Path) -> LabelRow:
    """The file's own NoiseProfile (DNG 1.4, tag 51041): S and O of variance = S*x + O, the mean of its colours.

    Files of one camera at one ISO are one acquisition. Raises the InputErrors of reading it, and UnsupportedError where
    it states no valid profile.
    """
    tags = images.read(path).acquisition
    profile = tags.get("NoiseProfile")
    if not isinstance(profile, list | tuple) or not profile or len(profile) % 2:
        raise UnsupportedError(f"{path}: states no NoiseProfile")
    numbers = [float(value) for value in profile]
    shot, offset = (sum(numbers[start::2]) / (len(numbers) / 2) for start in (0, 1))
    if not all(map(math.isfinite, numbers)) or min(shot, offset) < 0 or shot == 0:
        raise UnsupportedError(f"{path}: its NoiseProfile cannot be one")
    group = " ".join(str(tags.get(tag, "")) for tag in ("Make", "Model", "ISO"))
    return LabelRow(path, {"shot_gain": shot, "read_noise": math.sqrt(offset)}, group)


def table(rows: Sequence[LabelRow]) -> LabelTable:
    """`stated` rows as a table of weak labels."""
    return LabelTable(NAMES, {name: parameter(name).unit for name in NAMES}, tuple(rows), weak=True)
