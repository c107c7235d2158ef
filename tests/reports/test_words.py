"""Every word that the table uses is explained on the page that it points to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import noisediag
from noisediag.footprint.plane import FLAGS, LIGHT_LAWS
from noisediag.genome.parameters import NAMES
from noisediag.reports import overview, screen, summary
from noisediag.reports.table import FLAG_WORDS

GUIDE = Path(noisediag.__file__).parent / "guide"
PAGE = " ".join((GUIDE / "reading-the-table.md").read_text("utf-8").split())
MANY = " ".join((GUIDE / "many-files.md").read_text("utf-8").split())


def test_the_table_points_to_the_page():
    assert "guide reading-the-table" in screen.MORE


@pytest.mark.parametrize("flag", FLAGS)
def test_flags(flag):
    assert f"`{flag}` | {FLAG_WORDS[flag]} |" in PAGE
    if flag in summary.FLAG_SENTENCES:
        assert summary.FLAG_SENTENCES[flag] in PAGE


@pytest.mark.parametrize("name", [*NAMES, *LIGHT_LAWS])
def test_noises_and_laws(name):
    assert re.search(rf"(\| |, |\*){name.replace('_', ' ')}\b", PAGE)


@pytest.mark.parametrize(
    "words",
    [
        *("noise found", "90 % interval", "probability", "not found (probability below 50 %)", "cannot be told here"),
        *("not defined after processing", "measured from", "differs", "given", "of white", "mid-grey", "median signal"),
        *("Shot-noise limited", "Read-noise limited", "As fitted", "What limits the noise cannot be told", "e-/DN"),
        *("rows add", "columns add", "one wave adds", "of the pixels are hot", "replaced by black or white", "SNR"),
        *("No noise was found", "Nothing is told of the noise", "All pixels are equal", "Channel", "e- at white"),
        *("stops of dynamic range", "dB", "sigma of the planes", "Noise2Void", "JPEG quality", "luma", "DN", "sigma"),
        *("raw-linear", "linear", "rendered", "file", "override", "assumed", "black", "white", "Too little range"),
        *("shared", "wave", "differences in pixel gain", "The step between the codes in use limits"),
        "Neither shot nor read noise was found",
    ],
)
def test_other_words(words):
    assert words in PAGE


def test_columns_and_orders_of_the_lines():
    for heading in overview.HEADINGS[4:]:
        assert f"**{heading}**" in MANY
    assert all(order in MANY for order in overview.SORTS)
