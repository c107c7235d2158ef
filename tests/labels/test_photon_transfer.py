"""Flats and darks of a simulated sensor, and pairs, and what DNG files state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from noisediag.errors import UnsupportedError, UsageError
from noisediag.labels import metadata, pairs, photon_transfer
from noisediag.labels.bursts import ReadOptions
from noisediag.labels.footprints import label_table

K, DARK, READ, PRNU, DSNU = 0.3, 100.0, 3.0, 0.01, 2.0  # DN/e-, DN, DN, fraction, DN
LEVELS = (500, 1000, 2000, 3500, 5500)  # e-
READING = ReadOptions(white=4095)


@pytest.fixture(scope="module")
def sensor(tmp_path_factory) -> Path:
    """Two shots of each level, and two darks, 160 x 200 px."""
    folder = tmp_path_factory.mktemp("sensor")
    generator = np.random.default_rng(0)
    gain = 1 + PRNU * generator.standard_normal((160, 200))
    offset = DARK + DSNU * generator.standard_normal((160, 200))
    shade = np.linspace(0.9, 1.1, 200)  # illumination is never even
    for name, light in (("dark", 0), *((f"flat{level}", level) for level in LEVELS)):
        for shot in "ab":
            electrons = generator.poisson(light * gain * shade)
            codes = np.clip(np.rint(offset + K * electrons + generator.normal(0, READ, gain.shape)), 0, 4095)
            tifffile.imwrite(folder / f"{name}{shot}.tif", codes.astype(np.uint16))
    return folder


def flats(folder: Path) -> list[Path]:
    return sorted(folder.glob("flat*.tif"))


class TestPhotonTransfer:
    def test_gain_noise_and_patterns(self, sensor):
        footprint = photon_transfer.from_files(flats(sensor), sorted(sensor.glob("dark*.tif")), READING)
        derived = footprint.derived
        assert derived.K.value == pytest.approx(K, rel=0.03)
        assert derived.K.low < K < derived.K.high
        assert derived.sigma_d.value == pytest.approx(READ / K, rel=0.03)
        assert derived.PRNU1288.value == pytest.approx(100 * PRNU, rel=0.1)
        assert derived.DSNU1288.value == pytest.approx(DSNU / K, rel=0.1)
        assert derived.DSNU1288.low < DSNU / K < derived.DSNU1288.high
        assert footprint.planes[-1].black_dn == pytest.approx(DARK, abs=0.1)
        assert footprint.measurement.route == "flats"
        assert footprint.measurement.frames == 12
        # what a single frame shows has the fixed pattern in it
        light = 2000 * K / (4095 - DARK)
        single = K * 2000 * K + READ**2 + (PRNU * 2000 * K) ** 2
        assert (footprint.sigma(light) * (4095 - DARK)) ** 2 == pytest.approx(single, rel=0.04)

    def test_one_level_and_darks_are_enough(self, sensor):
        shots = [sensor / "flat2000a.tif", sensor / "flat2000b.tif"]
        footprint = photon_transfer.from_files(shots, sorted(sensor.glob("dark*.tif")), READING)
        assert footprint.derived.K.value == pytest.approx(K, rel=0.03)

    def test_without_darks_the_read_noise_is_not_known(self, sensor):
        footprint = photon_transfer.from_files(flats(sensor), [], READING)
        assert footprint["shot_gain"].value_dn == pytest.approx(K, rel=0.03)
        assert footprint["read_noise"].value is None
        assert footprint.derived.PRNU1288.value is None

    def test_what_cannot_be_used(self, sensor, tmp_path):
        with pytest.raises(UnsupportedError, match="two levels"):
            photon_transfer.from_files([sensor / "flat500a.tif", sensor / "flat500b.tif"], [], READING)
        with pytest.raises(UnsupportedError, match="only shot"):
            photon_transfer.from_files([sensor / "flat500a.tif", sensor / "flat2000b.tif"], [], READING)
        tifffile.imwrite(tmp_path / "small.tif", np.zeros((32, 32), np.uint16))
        with pytest.raises(UnsupportedError, match=r"small.tif has 32 x 32 px, flat500a.tif 200 x 160 px"):
            photon_transfer.from_files([sensor / "flat500a.tif", tmp_path / "small.tif"], [], READING)

    def test_levels_near_saturation_do_not_count_for_the_gain(self, sensor, tmp_path):
        """A full well that bends the line: at 90 % of white the variance is a third of what the gain says."""
        generator = np.random.default_rng(5)
        for shot in "ab":
            bent = DARK + 0.9 * (4095 - DARK) + np.sqrt(0.3 * K * 3600) * generator.standard_normal((160, 200))
            tifffile.imwrite(tmp_path / f"bent{shot}.tif", np.rint(bent).astype(np.uint16))
        bright = sorted(tmp_path.glob("bent*.tif"))
        footprint = photon_transfer.from_files([*flats(sensor), *bright], sorted(sensor.glob("dark*.tif")), READING)
        assert footprint.derived.K.value == pytest.approx(K, rel=0.03)
        assert "above 70 % of the saturation" in {rejected.reason for rejected in footprint.rejected}

    def test_the_dark_pattern_is_no_response_of_the_light(self, tmp_path):
        """PRNU1288 is what is left of the pattern of the lit frames after that of the dark ones: EMVA 1288, 3.1."""
        generator = np.random.default_rng(6)
        gain = 1 + PRNU * generator.standard_normal((160, 200))
        offset = 300 + 20 * generator.standard_normal((160, 200))
        for name, light in (("dark", 0), ("flat2000", 2000), ("flat6500", 6500)):
            for shot in "ab":
                codes = offset + K * generator.poisson(light * gain) + generator.normal(0, READ, gain.shape)
                tifffile.imwrite(tmp_path / f"{name}{shot}.tif", np.rint(codes).astype(np.uint16))
        footprint = photon_transfer.from_files(flats(tmp_path), sorted(tmp_path.glob("dark*.tif")), READING)
        assert footprint.derived.PRNU1288.value == pytest.approx(100 * PRNU, rel=0.1)

    def test_as_labels(self, sensor):
        footprint = photon_transfer.from_files(flats(sensor), sorted(sensor.glob("dark*.tif")), READING)
        table = label_table([footprint])
        assert len(table.rows) == 12
        assert {row.group for row in table.rows} == {str(flats(sensor)[0])}
        assert table.rows[0].values["shot_gain"] == footprint["shot_gain"].value
        assert table.units["shot_gain"] == "1/e-"
        assert "correlation" not in table.names
        assert not table.weak


class TestPairs:
    @pytest.fixture
    def pair(self, leaves, tmp_path):
        """A noisy picture, and its clean counterpart on another scale."""
        generator = np.random.default_rng(0)
        clean = leaves * 3000
        noisy = 200 + 0.5 * generator.poisson(clean * 2) + generator.normal(0, 5, clean.shape)
        tifffile.imwrite(tmp_path / "noisy.tif", np.clip(np.rint(noisy), 0, 65535).astype(np.uint16))
        tifffile.imwrite(tmp_path / "clean.tif", np.rint(clean * 8).astype(np.uint16))
        return tmp_path / "noisy.tif", tmp_path / "clean.tif"

    def test_gain_and_read_noise(self, pair):
        footprint = pairs.from_files(*pair, ReadOptions(black=200, white=4095))
        assert footprint["shot_gain"].value_dn == pytest.approx(0.5, rel=0.03)
        assert footprint["read_noise"].value_dn == pytest.approx(5, rel=0.1)
        assert footprint.measurement.route == "pairs"
        assert [row.path for row in label_table([footprint]).rows] == [pair[0]]

    def test_colours_end_with_the_luma(self, leaves, tmp_path):
        generator = np.random.default_rng(0)
        clean = np.rint(60 + 120 * np.stack([leaves, leaves.T, 1 - leaves], axis=-1)).astype(np.uint8)
        noisy = np.clip(np.rint(clean + generator.normal(0, 5, clean.shape)), 0, 255).astype(np.uint8)
        for name, pixels in (("noisy.png", noisy), ("clean.png", clean)):
            Image.fromarray(pixels).save(tmp_path / name)
        footprint = pairs.from_files(tmp_path / "noisy.png", tmp_path / "clean.png", ReadOptions())
        assert [plane.name for plane in footprint.planes] == ["R", "G", "B", "luma"]
        luma = 5 * np.sqrt(0.299**2 + 0.587**2 + 0.114**2)
        for plane, sigma in zip(footprint.planes, (5, 5, 5, luma), strict=True):
            assert plane.effective_sigma * 255 == pytest.approx(sigma, rel=0.02)

    def test_other_scenes_and_sizes(self, pair, leaves, tmp_path):
        tifffile.imwrite(tmp_path / "other.tif", np.rint(leaves.T * 3000).astype(np.uint16))
        with pytest.raises(UnsupportedError, match=r"noisy.tif and other.tif: the scene changes"):
            pairs.from_files(pair[0], tmp_path / "other.tif", READING)
        tifffile.imwrite(tmp_path / "small.tif", np.rint(leaves[:64] * 3000).astype(np.uint16))
        with pytest.raises(UnsupportedError, match="512 x 512 px and 512 x 64 px"):
            pairs.from_files(pair[0], tmp_path / "small.tif", READING)

    def test_names_answer_each_other(self):
        noisy = [Path(f"n/input_avg1_{number}.tif") for number in ("010", "031")]
        clean = [Path(f"c/target_avg400_{number}.tif") for number in ("031", "010")]
        assert [b.name for _, b in pairs.matched(noisy, clean)] == ["target_avg400_010.tif", "target_avg400_031.tif"]
        assert pairs.matched([Path("a.tif")], [Path("b.png")]) == ((Path("a.tif"), Path("b.png")),)
        with pytest.raises(UsageError, match="no file answers"):
            pairs.matched([*noisy, Path("n/input_avg1_099.tif")], clean)


class TestMetadata:
    SAMPLE = Path(__file__).parent.parent / "data" / "sample.dng"

    def test_the_noise_profile_is_a_weak_label(self):
        row = metadata.stated(self.SAMPLE)
        assert row.values["shot_gain"] == pytest.approx(1.5e-4)
        assert row.values["read_noise"] == pytest.approx(0.004, rel=0.01)
        assert row.group == "noisediag simulated 1500"
        table = metadata.table([row])
        assert table.weak
        assert table.names == ("shot_gain", "read_noise")

    def test_a_file_without_one(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.arange(4096, dtype=np.uint16).reshape(64, 64))
        with pytest.raises(UnsupportedError, match="states no NoiseProfile"):
            metadata.stated(tmp_path / "a.tif")
