"""`check`: a planted error of the metadata is found, a small one is not, and what nobody can tell is said so."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from noisediag import images
from noisediag.cli import app
from noisediag.errors import UsageError
from noisediag.estimator import Estimator
from noisediag.footprint.values import Bounded
from noisediag.studies import simulate
from noisediag.studies.camera import check
from noisediag.studies.camera.comparison import comparison, decide
from noisediag.studies.camera.datasheet import DataSheet

GAIN, OFFSET_DN, READ_NOISE_E = 0.5, 100, 3.0  # GAIN in e-/DN


@pytest.fixture(scope="module")
def estimator():
    return Estimator(device="cpu")


@pytest.fixture(scope="module")
def smooth(tmp_path_factory):
    """1 megapixel of a full range of signals, whose S is known to better than 6 %, with its true NoiseProfile."""
    output = tmp_path_factory.mktemp("check") / "smooth.dng"
    noise = simulate.NoiseOptions(shot_gain=2e-4, read_noise=3e-4)
    options = simulate.SimulateOptions(
        output=output, scene="photo", size=(1024, 1024), noise=noise, seed=5, bit_depth=14, black_dn=512
    )
    simulate.run(options)
    return output


@pytest.fixture(scope="module")
def footprint(estimator, smooth):
    return estimator.estimate(images.read(smooth))


@pytest.fixture(scope="module")
def codes():
    """A smooth 16-bit camera frame, of known gain, read noise and offset."""
    generator = np.random.default_rng(5)
    electrons = 20 + 8000 * np.linspace(0, 1, 768)[None, :] ** 2 * np.ones((768, 1))
    counts = generator.poisson(electrons) + generator.normal(0, READ_NOISE_E, electrons.shape)
    return np.clip(np.rint(counts / GAIN + OFFSET_DN), 0, 65535).astype(np.uint16)


FACTORS = {0.97: "agrees", 1.03: "agrees", 0.85: "differs", 1.15: "differs"}  # a header that is off by so much
CLEAR = ("photo", "leaves", "photo", "retina", "leaves", "photo", "anatomy", "gradient")  # scenes of all signals


def stated(footprint, factor):
    """`footprint` with a NoiseProfile whose S are all off by `factor`."""
    pairs = np.array(footprint.acquisition["NoiseProfile"]).reshape(-1, 2) * (factor, 1)
    return replace(footprint, acquisition={**footprint.acquisition, "NoiseProfile": pairs.ravel().tolist()})


class TestDng:
    @pytest.mark.parametrize(
        ("factor", "verdict"),
        [(1.0, "agrees"), (1.03, "agrees"), (0.97, "agrees"), (1.15, "differs"), (0.85, "differs")],
    )
    def test_a_gain_15_percent_off_is_told_from_one_3_percent_off(self, footprint, factor, verdict):
        rows = {row.quantity: row for row in check.compare(stated(footprint, factor))}
        assert decide(factor, Bounded(1.0, 0.95, 1.05)) == verdict
        for colour in "RGB":
            row = rows[f"S {colour}"]
            assert row.verdict in (verdict, "cannot tell")
            assert row.high / row.low < 1.2
            assert row.ratio == pytest.approx(factor, rel=0.05)
            assert row.ratio_low < row.ratio < row.ratio_high

    @pytest.mark.acceptance
    def test_what_is_told_is_right_and_the_rest_cannot_tell(self, estimator, tmp_path, sized, say):
        """Files of 1 megapixel whose S has an interval within 6 %, headers off by 3 and by 15 %, either way."""
        generator = np.random.default_rng(11)
        wanted, told, right, files, astray = sized(1, 100), 0, dict.fromkeys(FACTORS, 0), 0, 0
        while told < wanted:
            noise = simulate.NoiseOptions(
                shot_gain=10 ** generator.uniform(-4.5, -2.7), read_noise=10 ** generator.uniform(-4, -2.7)
            )
            output = tmp_path / f"{files}.dng"
            simulate.run(
                simulate.SimulateOptions(
                    output=output, scene=CLEAR[files % len(CLEAR)], size=(1024, 1024), noise=noise, seed=files,
                    bit_depth=14, black_dn=512,
                )
            )  # fmt: skip
            found = estimator.estimate(images.read(output))
            output.unlink()
            files += 1
            sure = False
            for factor, verdict in FACTORS.items():
                rows = [row for row in check.compare(stated(found, factor)) if row.quantity.startswith("S")]
                precise = [
                    row
                    for row in rows
                    if row.high and max(row.high / row.estimated - 1, 1 - row.low / row.estimated) <= 0.06
                ]
                sure = bool(precise)
                right[factor] += sure and all(row.verdict == verdict for row in precise)
                astray += any(row.verdict != "cannot tell" for row in rows if row not in precise)
            told += sure
        say(f"check: {told} of {files} files have S within 6 %; right there: {right}; astray elsewhere: {astray}")
        assert min(right.values()) >= 0.95 * told
        assert astray <= 0.01 * files

    def test_a_picture_without_range_cannot_tell(self, estimator, tmp_path):
        output = tmp_path / "flat.dng"
        noise = simulate.NoiseOptions(shot_gain=3e-4, read_noise=1e-3)
        simulate.run(simulate.SimulateOptions(output=output, scene="flat", size=(256, 256), noise=noise, seed=1))
        rows = list(check.compare(stated(estimator.estimate(images.read(output)), 1.15)))
        assert rows
        assert {row.verdict for row in rows if row.quantity.startswith("S")} == {"cannot tell"}

    def test_one_pair_is_that_of_all_planes(self, footprint):
        one = replace(footprint, acquisition={"NoiseProfile": footprint.acquisition["NoiseProfile"][:2]})
        assert [row.quantity for row in check.compare(one)] == ["S", "O"]

    def test_a_profile_of_other_colours_is_not_compared(self, footprint):
        other = replace(footprint, acquisition={"NoiseProfile": [1e-4, 1e-6] * 2})
        assert list(check.compare(other)) == []


class TestOtherFormats:
    def rows(self, estimator, path):
        return {row.tag: row for row in check.compare(estimator.estimate(images.read(path)))}

    def test_fits(self, estimator, codes, tmp_path):
        fits = pytest.importorskip("astropy.io.fits")
        hdu = fits.PrimaryHDU(codes)
        hdu.header.update({"EGAIN": GAIN, "GAIN": 250, "RDNOISE": READ_NOISE_E})
        hdu.writeto(tmp_path / "a.fits")
        rows = self.rows(estimator, tmp_path / "a.fits")
        assert rows["EGAIN"].ratio == pytest.approx(1, rel=0.12)
        assert rows["EGAIN"].verdict in ("agrees", "cannot tell")
        assert rows["GAIN"].verdict == "setting"  # of a knob
        assert rows["RDNOISE"].verdict == "cannot tell"  # without a black level nothing shows it
        assert rows["RDNOISE"].ratio is None

    def test_ome(self, estimator, codes, tmp_path):
        path = tmp_path / "a.ome.tif"
        ome = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="768" SizeY="768" SizeZ="1" SizeC="1" '
            'SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"><DetectorSettings ID="Detector:0" Gain="600" '
            'Offset="100"/></Channel><TiffData/></Pixels></Image></OME>'
        )
        tifffile.imwrite(path, codes, description=ome, metadata=None)
        rows = self.rows(estimator, path)
        assert rows["DetectorGain"].verdict == "setting"
        assert rows["DetectorGain"].ratio > 100
        vanishing = OFFSET_DN - READ_NOISE_E**2 / GAIN  # DN at which the variance of the noise is 0
        assert rows["DetectorOffset"].estimated == pytest.approx(vanishing, rel=0.1)

    def test_a_rendered_picture_has_nothing_to_compare(self, make_footprint):
        assert list(check.compare(make_footprint(domain="rendered", acquisition={"EGAIN": 1.0}))) == []


class TestDoubts:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"uneven": (0.8, 1.6)}, "0.8 to 1.6 times"),
            ({"flags": ("misfit",)}, "does not follow"),
            ({"flags": ("black_doubtful",)}, "black level"),
            ({"flags": ("smoothed",)}, "filtered"),
        ],
    )
    def test_no_verdict_on_noise_that_is_not_the_camera_s(self, footprint, changes, words):
        result = check.run([replace(footprint, **changes)])
        assert {row.verdict for row in result.rows} == {"cannot tell"}
        (note,) = result.notes
        assert words in note.text
        assert note.text in json.loads(check.dumps(result))["notes"][0]["text"]

    def test_an_ordinary_file_has_no_note(self, footprint):
        assert check.run([footprint]).notes == ()


class TestDataSheet:
    SHEET = "gain=0.4,full_well=40000,read_noise=3"

    @pytest.fixture
    def picture(self, make_plane, make_footprint):
        """`picture(**acquisition)`: 0.4 DN/e-, 3 e- of read noise, 15871 DN above black at white."""

        def make(read_noise_e=3.0, **acquisition):
            span = 16383.0 - 512.0
            values = {"shot_gain": 0.4 / span, "read_noise": 0.4 * read_noise_e / span, "row_noise": None}
            planes = tuple(make_plane(name, values) for name in ("R", "G1", "G2", "B", "all"))
            return make_footprint(planes=planes, acquisition=acquisition)

        return make

    def rows(self, footprint, text):
        return {row.quantity: row for row in check.run([footprint], metadata=False, sheet=DataSheet.parse(text)).rows}

    def test_a_right_sheet_agrees(self, picture):
        rows = self.rows(picture(), self.SHEET)
        assert set(rows) == {"gain", "full well", "dark noise", "sigma dark", "sigma bright", "sigma mean"}
        assert {rows[f"sigma {part}"].verdict for part in ("dark", "bright", "mean")} == {"agrees"}
        assert rows["gain"].ratio == pytest.approx(1, rel=0.02)
        assert rows["full well"].ratio == pytest.approx(40000 / (15871 / 0.4), rel=0.02)

    @pytest.mark.parametrize(
        "text", ["gain=0.8,read_noise=3", "gain=0.4,read_noise=60", "full_well=12000,read_noise=3"]
    )
    def test_a_wrong_one_differs(self, picture, text):
        assert "differs" in {row.verdict for row in self.rows(picture(), text).values()}

    def test_any_subset_that_is_enough(self, picture):
        assert set(self.rows(picture(), "gain=0.4")) == {"gain"}
        assert set(self.rows(picture(), "full_well=40000")) == {"full well"}
        assert self.rows(picture(), "full_well=40000,read_noise=3")["sigma mean"].verdict == "agrees"
        for text in ("read_noise=3", "gain=x", "gian=1", "gain=-1", "gain=inf"):
            with pytest.raises(UsageError, match="--datasheet"):
                DataSheet.parse(text)

    def test_how_much_of_the_constant_part_is_dark_current(self, picture):
        """3 e- of read noise and 27 e- of dark current in 30 s: three quarters."""
        sheet = DataSheet.parse("gain=0.4,read_noise=3,dark=0.9")
        result = check.run([picture(6.0, ExposureTime=30.0)], metadata=False, sheet=sheet)
        (note,) = result.notes
        assert "27 e- in 30 s, 75 % of the constant part" in note.text
        assert "75 (" in note.text.partition("data sheet")[2]
        assert {row.quantity: row for row in result.rows}["dark noise"].ratio == pytest.approx(1, rel=0.02)
        assert check.run([picture(6.0)], metadata=False, sheet=sheet).notes == ()  # no exposure is known

    def test_the_dark_current_follows_the_temperature(self, picture):
        sheet = DataSheet.parse("gain=0.4,read_noise=3,dark=0.9,temperature=20")
        footprint = picture(6.0, **{"ExposureTime": 30.0, "CCD-TEMP": 13.0})
        (note,) = check.run([footprint], metadata=False, sheet=sheet).notes
        assert "13.5 e- in 30 s at 13 C, 60 (" in note.text

    def test_codes_that_are_no_measure_of_light(self, make_footprint):
        result = check.run([make_footprint(domain="rendered")], metadata=False, sheet=DataSheet.parse(self.SHEET))
        assert (result.rows, result.silent) == ((), ("photo.dng",))


class TestVerdict:
    PRECISE, ROUGH = Bounded(1.0, 0.95, 1.05), Bounded(1.0, 0.8, 1.2)

    @pytest.mark.parametrize(("ratio", "verdict"), [(1.03, "agrees"), (0.97, "agrees"), (1.15, "differs")])
    def test_of_a_precise_estimate(self, ratio, verdict):
        assert decide(ratio, self.PRECISE) == verdict

    @pytest.mark.parametrize(("ratio", "verdict"), [(1.0, "cannot tell"), (3.0, "cannot tell"), (13.0, "differs")])
    def test_of_a_rough_one(self, ratio, verdict):
        assert decide(ratio, self.ROUGH) == verdict

    @pytest.mark.parametrize(("value", "verdict"), [(1.0, "agrees"), (1.3, "differs"), (250.0, "setting")])
    def test_gain_is_a_gain_with_some_writers(self, value, verdict):
        assert comparison("a", "GAIN", "gain", "e-/DN", value, self.PRECISE).verdict == verdict

    def test_an_unknown_estimate_tells_nothing(self):
        row = comparison("a", "EGAIN", "gain", "e-/DN", 1.0, Bounded(None))
        assert (row.verdict, row.ratio) == ("cannot tell", None)


class TestCommand:
    def run(self, *arguments):
        return CliRunner().invoke(app, ["check", *map(str, arguments)])

    def test_table_json_and_csv(self, smooth, tmp_path):
        result = self.run(smooth, "--against-metadata", "-o", tmp_path / "c.csv", "--json")
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        assert report["schema"] == "noisediag.check/1"
        assert report["rows"][0]["tag"] == "NoiseProfile"
        assert (tmp_path / "c.csv").read_text("utf-8").startswith("path,tag,quantity,unit,stated,")
        table = self.run(smooth, "--against-metadata").stdout
        assert "agrees" in table
        assert all(len(line) <= 80 for line in table.splitlines())

    def test_a_data_sheet(self, smooth):
        gain = 2e-4 * (16383 - 512)
        result = self.run(smooth, "--datasheet", f"gain={gain:.4f},read_noise=1.5")
        assert result.exit_code == 0, result.output
        assert "sheet sigma mean" in result.stdout
        assert "agrees" in result.stdout
        assert all(len(line) <= 80 for line in result.stdout.splitlines())
        assert self.run(smooth, "--datasheet", "read_noise=3").exit_code == 2

    def test_says_what_is_missing(self, smooth, tmp_path):
        result = self.run(smooth)
        assert result.exit_code == 2
        assert "--against-metadata" in result.stderr
        assert self.run(tmp_path / "gone.dng", "--against-metadata").exit_code == 4

    def test_a_file_that_says_nothing(self, tmp_path):
        path = tmp_path / "plain.tif"
        noise = np.random.default_rng(0).normal(1000, 20, (128, 128))
        tifffile.imwrite(path, noise.astype(np.uint16))
        result = self.run(path, "--against-metadata")
        assert result.exit_code == 0
        assert "says nothing of its noise" in " ".join(result.stdout.split())
