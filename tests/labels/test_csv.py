"""Labels from a CSV: what is understood, what is refused, and with which row."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from noisediag.errors import UsageError
from noisediag.labels import csv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c", "d"):
        np.save(tmp_path / f"{name}.npy", np.full((16, 16), 100, np.uint16))
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_any_names_any_subset_and_classes(folder: Path) -> None:
    table = csv.read(
        write(
            folder, "path,grain[um],scanner,read_noise,group\na.npy,2.5,old,,x\n\nb.npy,,new,0.01,x\nc.npy,1,old,0,y\n"
        )
    )
    assert table.names == ("grain", "scanner", "read_noise")
    assert table.units == {"grain": "um", "scanner": "", "read_noise": "normalised"}
    assert [dict(row.values) for row in table.rows] == [
        {"grain": 2.5, "scanner": "old"},
        {"scanner": "new", "read_noise": 0.01},
        {"grain": 1.0, "scanner": "old", "read_noise": 0.0},
    ]
    assert [row.group for row in table.rows] == ["x", "x", "y"]
    assert [row.line for row in table.rows] == [2, 4, 5]
    assert table.classes == {"scanner": ("new", "old")}
    assert not table.weak


def test_units_are_converted(folder: Path) -> None:
    path = write(folder, "path,read_noise[e-],shot_gain[DN/e-],impulse[%],row_noise[DN]\na.npy,3,65.535,5,6.5535\n")
    table = csv.read(path)
    assert table.rows[0].values == pytest.approx(
        {"read_noise": 3e-3, "shot_gain": 1e-3, "impulse": 0.05, "row_noise": 1e-4}
    )
    assert table.units["read_noise"] == "normalised"
    assert table.units["shot_gain"] == "1/e-"
    for alias in ("%", "percent"):
        assert csv.read(write(folder, f"path,impulse[{alias}]\na.npy,5\n")).rows[0].values == {"impulse": 0.05}


@pytest.mark.parametrize(
    "unit",
    [
        *("e-", "DN/e-", "e-/px/s", "um", "µm", "μm^2", "mJ cm-2", "mJ/cm^2", "DN/sqrt(Hz)", "°C", "degC", "K", "dB"),
        *("kVp", "mAs", "HU", "ppm", "%", "1", "px", "lp/mm", "cycles/px", "counts/s", "ADU", "stops", "EV", "s⁻¹"),
        *("MHz", "nm", "mW", "m·s-1", "kg*m/s**2", "days", "e-/(px s)", "mmol/L", "V", "keV", "mGy", "arcsec", ""),
    ],
)
def test_units_in_use_are_known(folder: Path, unit: str) -> None:
    assert csv.read(write(folder, f"path,dose[{unit}]\na.npy,5\n")).units == {"dose": unit}


@pytest.mark.parametrize("unit", ["bananas", "DN/banana", "e-/pixl", "s/", "foo bar", "um^", "mm mm q", "??", "kDN"])
def test_units_that_nobody_knows_are_refused_with_the_line(folder: Path, unit: str) -> None:
    with pytest.raises(UsageError) as raised:
        csv.read(write(folder, f"path,dose[{unit}]\na.npy,5\n"))
    message = str(raised.value)
    assert message.startswith(f"{folder / 'labels.csv'}: row 1: dose: no unit is called {unit!r}; known are")
    assert "\n" not in message


def test_a_misspelt_unit_is_told_the_right_one(folder: Path) -> None:
    with pytest.raises(UsageError, match="among others, photons, "):
        csv.read(write(folder, "path,dose[photns]\na.npy,5\n"))


def test_paths_as_other_systems_write_them(folder: Path) -> None:
    (folder / "sub").mkdir()
    for name in ("e", unicodedata.normalize("NFD", "über")):
        np.save(folder / "sub" / f"{name}.npy", np.zeros((16, 16), np.uint8))
    table = csv.read(write(folder, f"path,x\nsub\\e.npy,1\nsub/{unicodedata.normalize('NFC', 'über')}.npy,2\n"))
    assert [row.path.name for row in table.rows] == ["e.npy", unicodedata.normalize("NFD", "über.npy")]
    with pytest.raises(UsageError, match=r"row 3: .* stands in row 2 already"):
        csv.read(write(folder, "path,x\nsub\\e.npy,1\nsub/e.npy,2\n"))


def test_folders_are_acquisitions_where_there_are_several(folder: Path) -> None:
    (folder / "night").mkdir()
    np.save(folder / "night" / "e.npy", np.zeros((16, 16), np.uint8))
    several = csv.read(write(folder, "path,x\na.npy,1\nb.npy,2\nnight/e.npy,3\n"))
    assert [several.rows[0].group == row.group for row in several.rows] == [True, True, False]
    alone = csv.read(write(folder, "path,x\na.npy,1\nb.npy,2\n"))
    assert len({row.group for row in alone.rows}) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path,x\nlost.npy,1\n", "row 2: no such file: lost.npy"),
        ("file,x\na.npy,1\n", "row 1: the column path is missing"),
        ("path\na.npy\n", "no column to learn"),
        ("path,x\na.npy,1\nb.npy,much\nc.npy,2\n", "row 3: 'much' in the column x is not a number"),
        ("path,read_noise\na.npy,low\n", "row 2: 'low' in the column read_noise is not a number"),
        ("path,x\na.npy,nan\nb.npy,1\n", "row 2: 'nan' in the column x is not a number"),
        ("path,x\na.npy,1\nb.npy,2\na.npy,1\n", "row 4: .*a.npy stands in row 2 already"),
        ("path,x,x\na.npy,1,2\n", "the column x stands there twice"),
        ("path,x\na.npy,1,2\n", "row 2: 3 cells, where the header has 2"),
        ("path,x\n", "holds no row"),
        ("path,x,y\na.npy,1,\n", "the column y is empty"),
        ("path,correlation[DN]\na.npy,1\n", "row 1: correlation is not in DN; units that fit: px"),
        ("path,read_noise[e-]\na.npy,1\n", "row 1: read_noise in e- needs a column shot_gain"),
        ("path,read_noise[e-],shot_gain\na.npy,1,\nb.npy,1,1\n", "row 2: read_noise in e- without a shot_gain"),
        ("path,read_noise\na.npy,-1\n", "row 2: read_noise is below 0"),
        ("path,x,group\na.npy,1,\n", "row 2: names no group"),
        ("", "is empty"),
    ],
)
def test_what_does_not_fit_is_one_line_with_the_row(folder: Path, text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        csv.read(write(folder, text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_table(folder: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        csv.read(folder / "none.csv")
    (folder / "labels.csv").write_bytes(b"path,x\na.npy,\xff\n")
    with pytest.raises(UsageError, match="no CSV in UTF-8"):
        csv.read(folder / "labels.csv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"path,x\na\0.npy,1\n", "no such file"),
        (b"path,x\n" + b"n" * 5000 + b",1\n", "no such file"),
        (b"path,x\nloop.npy,1\n", "no such file"),
        (b"path,x\n/dev/zero,1\n", "no such file"),
        (b"path,x\n" + b"n" * 200_000 + b",1\n", "field larger"),
        ("path,\u202ex\na.npy,1\n".encode(), "no column name"),
        (b"path,x[\x1b]\na.npy,1\n", "no column name"),
        (b"path," + b"c" * 100_000 + b"\na.npy,1\n", "no column name"),
        (b"path" + b",c" * 2000 + b"\n", "columns"),
        (b"path,x\na.npy,1e308\nb.npy,1\nc.npy,1\n", "not a number"),
        (b"path,x\na.npy,1_0\nb.npy,1\nc.npy,1\n", "not a number"),
        ("path,x\na.npy,\u0661\nb.npy,1\nc.npy,1\n".encode(), "not a number"),
        (b"path,x\na.npy," + b"w" * 5000 + b"\n", "no word"),
        (b"path,x\na.npy,\x1b[31m\n", "no word"),
        (b"path,x,group\na.npy,1,\x1b\n", "names no group"),
        (b"path,x\na.npy,\xed\xa0\x80\n", "no CSV in UTF-8"),
    ],
)
def test_hostile_contents_are_one_short_line(folder: Path, content: bytes, said: str) -> None:
    (folder / "loop.npy").symlink_to("loop.npy")
    (folder / "labels.csv").write_bytes(content)
    with pytest.raises(UsageError, match=said) as error:
        csv.read(folder / "labels.csv")
    assert len(str(error.value)) < 300 + len(str(folder))
