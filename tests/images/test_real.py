"""Every real file at hand is read or refused as its truth says. Skips where the shared data are absent."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from noisediag.errors import UnsupportedError
from noisediag.images import read

REAL = Path(os.environ.get("NOISEDIAG_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "real"
REFUSED = {
    "raw/gopro_gpr/GOPR0024.GPR": "GoPro",
    "raw/nikon_dsc1339/DSC_1339_768x512_rggb.raw": "headerless",
    "raw/openisp/test.RAW": "headerless",
}
EXTRA = {".lif": "liffile", ".nd2": "bioio_nd2", ".fit": "astropy"}

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="shared data are not here")


def test_all_files_are_read_or_refused() -> None:
    files = sorted(path for path in REAL.rglob("*") if path.is_file() and path.suffix not in (".json", ".csv", ".txt"))
    assert files
    for path in files:
        name = str(path.relative_to(REAL))
        missing = path.suffix in EXTRA and importlib.util.find_spec(EXTRA[path.suffix]) is None
        if name in REFUSED or missing:
            with pytest.raises(UnsupportedError, match="noisediag" if missing else REFUSED[name]):
                read(path)
            continue
        plane = read(path).planes[0]
        assert plane.load().shape == plane.shape, name
        assert plane.black_dn < plane.white_dn, name


def test_what_the_truth_says() -> None:
    rededge, sequoia = (
        read(REAL / "raw/ms_multispectral" / name).planes[0]
        for name in ("0000SET_000_IMG_0000_3.tif", "Sequoia_0077_IMG_180413_080658_0000_GRE.TIF")
    )
    assert (rededge.step_dn, rededge.bit_depth, rededge.black_dn) == (16.0, 12, 4800.0)
    assert (sequoia.step_dn, sequoia.bit_depth) == (64.0, 10)
    dng = read(REAL / "raw/photoprism_dng/canon_eos_6d.dng")
    assert dng.domain == "rendered"
    assert "demosaiced" in dng.warnings[0]
    assert dng.acquisition["NoiseProfile"][0] == pytest.approx(3.314066762026614e-05)
    assert (dng.acquisition["ISO"], dng.acquisition["Model"]) == (1000, "Canon EOS 6D")
    assert read(REAL / "micro/pims/stuck.tif").frames == 5
    assert read(REAL / "wild_jpeg/Nexus_4.jpg").acquisition["ISO"] == 1200
