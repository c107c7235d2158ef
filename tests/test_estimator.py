"""The shipped model end to end: planted noise comes back, scales carry over exactly, and what is unknown is said."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import noisediag
from noisediag import images
from noisediag.errors import CheckpointError, UnreadableError, UsageError
from noisediag.estimator import Estimator, choose_device
from noisediag.footprint.file import Footprint
from noisediag.genome import scenes, sensor
from noisediag.genome.parameters import NAMES

SAMPLE = Path(__file__).parent / "data" / "sample.dng"
FULL = 65535


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    torch.set_num_threads(2)
    return Estimator(device="cpu")


@pytest.fixture(scope="module")
def sample(estimator: Estimator) -> Footprint:
    return estimator.estimate(images.read(SAMPLE))


def planted(seed: int = 3, size: int = 256, **values: float) -> np.ndarray:
    """A procedural photograph under the given noise, 16 bits, `(size, size)`; its signal stays below a quarter."""
    generator = torch.Generator().manual_seed(seed)
    clean = 0.01 + 0.22 * scenes.make(1, size, generator, kinds=("photo",))
    noise = sensor.sample("clean", 1, generator)
    for name, value in values.items():
        getattr(noise, name).fill_(value)
    noisy = sensor.corrupt(clean, noise, generator, container_step=1 / FULL).image[0]
    return (noisy * FULL).round().numpy().astype(np.uint16)


Read = Callable[..., Footprint]


@pytest.fixture
def read(estimator: Estimator) -> Read:
    def read(array: np.ndarray, gain: float | None = None, **scale: float) -> Footprint:
        return estimator.estimate(images.from_array(array, **scale), gain=gain)

    return read


class TestSample:
    """The shipped checkpoint on the shipped sample; all of its numbers are in tests/golden."""

    def test_the_curve_is_the_planted_one(self, sample: Footprint) -> None:
        truth = {p["name"]: p["value"] for p in json.loads((SAMPLE.parent / "sample.json").read_text())["parameters"]}
        for x in (0.1, 0.3, 0.6):
            expected = np.sqrt(truth["shot_gain"] * x + truth["read_noise"] ** 2)
            assert sample.sigma(x) == pytest.approx(expected, rel=0.03)

    def test_planes_come_first_and_the_file_last(self, sample: Footprint) -> None:
        assert [plane.name for plane in sample.planes] == ["R", "G1", "G2", "B", "all"]
        assert sample.planes[-1].shape == (480, 640)
        assert [e.name for e in sample.planes[0].parameters] == list(NAMES)
        assert all(len(plane.curve) >= 16 for plane in sample.planes)


class TestScale:
    def test_codes_times_four_are_noise_times_four(self, read: Read) -> None:
        picture = planted(shot_gain=2e-4, read_noise=2e-3)
        once, four = read(picture, black=0, white=FULL), read(picture * 4, black=0, white=FULL)
        x = once.planes[-1].signal_median
        assert four.sigma(4 * x) == pytest.approx(4 * once.sigma(x), rel=1e-3)
        assert four["shot_gain"].value == pytest.approx(4 * once["shot_gain"].value, rel=0.02)
        assert four["quantisation"].value_dn == pytest.approx(4, rel=1e-3)

    def test_electrons_do_not_depend_on_the_white_that_is_assumed(self, read: Read) -> None:
        picture = planted(shot_gain=2e-4, read_noise=2e-3)
        one, half = read(picture, black=0, white=FULL), read(picture, black=0, white=FULL // 2)
        assert half["shot_gain"].value_dn == pytest.approx(one["shot_gain"].value_dn, rel=0.02)

    def test_an_unknown_black_leaves_the_read_noise_unknown(self, read: Read) -> None:
        footprint = read(planted(shot_gain=1e-3, read_noise=4e-3))
        assert "assumed_scale" in footprint.flags
        assert footprint["read_noise"].value is None
        assert footprint["read_noise"].flag == "weakly_identified"

    def test_a_given_gain_is_taken(self, read: Read) -> None:
        shot = 1e-3
        footprint = read(planted(shot_gain=shot, read_noise=2e-3), black=0, white=FULL, gain=1 / (shot * FULL))
        assert footprint["shot_gain"].value == pytest.approx(shot)
        assert footprint.sigma(0.1) == pytest.approx(np.sqrt(shot * 0.1 + 4e-6), rel=0.1)


class TestPlanted:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("impulse", 0.02),
            ("row_noise", 0.008),
            ("column_noise", 0.008),
            ("correlation", 1.0),
            ("quantisation", 0.01),
        ],
    )
    def test_is_found_and_measured(self, read: Read, name: str, value: float) -> None:
        footprint = read(planted(shot_gain=5e-4, read_noise=5e-3, **{name: value}), black=0, white=FULL)
        estimate = footprint[name]
        assert estimate.present is not None
        assert estimate.present > 0.5
        assert estimate.value == pytest.approx(value, rel=0.3)
        assert estimate.low <= value <= estimate.high

    def test_what_was_not_planted_is_null(self, read: Read) -> None:
        footprint = read(planted(shot_gain=5e-4, read_noise=5e-3), black=0, white=FULL)
        for name in ("impulse", "row_noise", "column_noise", "correlation"):
            assert footprint[name].value is None, name
            assert footprint[name].flag == "below_floor"
            assert footprint[name].low == 0

    def test_intervals_contain_their_values(self, read: Read) -> None:
        footprint = read(planted(shot_gain=1e-3, read_noise=4e-3), black=0, white=FULL)
        for point in footprint.curve:
            assert point.low <= point.sigma <= point.high
        for estimate in footprint.planes[-1].parameters:
            if estimate.value is not None:
                assert estimate.low <= estimate.value <= estimate.high


class TestPhysics:
    def test_a_dark_frame_with_black_a_little_high_keeps_its_read_noise(self, read: Read) -> None:
        dark = 100 + 12 * np.random.default_rng(0).standard_normal((256, 256))
        footprint = read(dark.round().astype(np.uint16), black=100.2, white=4095)
        assert footprint.sigma(0.0) * 3994.8 == pytest.approx(12, rel=0.02)
        json.dumps(footprint.to_dict(), allow_nan=False)

    def test_the_gain_of_a_flat_frame_with_unknown_black_is_not_identified(self, read: Read) -> None:
        frame = 500 + 4.8 * np.random.default_rng(1).standard_normal((512, 512))
        shot = read(frame.round().astype(np.uint16))["shot_gain"]
        assert shot.value is None
        assert shot.flag == "weakly_identified"

    def test_no_noise_is_stronger_than_all_of_it(self, read: Read) -> None:
        footprint = read(planted(shot_gain=1e-3, read_noise=4e-3), black=0, white=FULL)
        weakest = min(point.sigma for point in footprint.curve)
        assert footprint["read_noise"].high <= 1.6 * weakest

    def test_a_flat_area_is_not_clipped_but_black_and_white_are(self, read: Read) -> None:
        flat = planted(read_noise=2e-3)
        flat[:128] = 1000
        assert "clipped" not in read(flat, black=0, white=FULL).flags
        flat[:128] = FULL
        assert "clipped" in read(flat, black=0, white=FULL).flags

    def test_a_gain_that_cannot_be_is_doubted(self, read: Read) -> None:
        footprint = read(planted(shot_gain=1e-3, read_noise=2e-3), black=0, white=FULL, gain=1 / (0.1 * FULL))
        assert any("more shot noise" in warning for warning in footprint.warnings)


class TestStacks:
    def test_frames_of_rendered_colour_are_not_added_up(self, estimator: Estimator, tmp_path: Path) -> None:
        frames = [np.stack([planted(s, size=64, read_noise=0.05) >> 8] * 3, axis=-1) for s in range(3)]
        frames = [np.roll(frame, i, axis=2).astype(np.uint8) for i, frame in enumerate(frames)]
        frames[0][..., 1] //= 2  # a grey picture would be read as one plane
        path = tmp_path / "stack.tif"
        tifffile.imwrite(path, np.stack(frames), photometric="rgb")
        footprint = estimator.estimate(images.read(path))
        assert footprint.planes[-1].name == "luma"
        assert footprint.planes[-1].curve[-1].signal < 0.6

    def test_frames_are_sampled_and_summed_up(self, read: Read) -> None:
        stack = np.stack([planted(seed, size=64, shot_gain=1e-3, read_noise=5e-3) for seed in range(12)])
        footprint = read(stack, black=0, white=FULL)
        assert [plane.frame for plane in footprint.planes] == [0, 2, 3, 5, 6, 8, 9, 11, None]
        assert footprint.planes[-1].name == "all"

    def test_rendered_colour_ends_with_luma(self, read: Read) -> None:
        colour = np.stack([planted(seed, read_noise=0.02) >> 8 for seed in (1, 2, 3)], axis=-1).astype(np.uint8)
        footprint = read(colour)
        assert footprint.domain == "linear"  # independent noise in all three: nothing was processed
        assert footprint.rendered is not None
        assert [plane.name for plane in footprint.planes] == ["R", "G", "B", "luma"]
        assert footprint.derived.electrons_at_white is None


class TestMap:
    def test_is_the_curve_at_every_pixel(self, estimator: Estimator, sample: Footprint) -> None:
        sigma = estimator.sigma_map(images.read(SAMPLE), sample)
        assert sigma.shape == (480, 640)
        assert sigma.dtype == np.float32
        assert np.isfinite(sigma).all()
        span = sample.planes[-1].white_dn - sample.planes[-1].black_dn
        assert np.median(sigma) == pytest.approx(sample.sigma(sample.planes[-1].signal_median) * span, rel=0.05)


class TestRefusals:
    def test_too_few_pixels(self, read: Read) -> None:
        with pytest.raises(UnreadableError, match="12 x 40 pixels are too few"):
            read(np.zeros((40, 12), np.uint16))

    def test_values_that_are_not_finite(self, read: Read) -> None:
        with pytest.raises(UnreadableError, match="no pixel holds a value"):
            read(np.full((64, 64), np.nan, np.float32), black=0, white=1)

    def test_gain_and_device(self, read: Read) -> None:
        with pytest.raises(UsageError, match="conversion gain"):
            read(np.zeros((64, 64), np.uint16), gain=0.0)
        with pytest.raises(UsageError, match="unknown device"):
            choose_device("tpu")

    def test_arrays_are_sliced_not_selected_from(self) -> None:
        with pytest.raises(UsageError, match="slice it instead"):
            noisediag.estimate(np.zeros((64, 64), np.uint16), frame=0)

    def test_a_missing_checkpoint(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError):
            Estimator(tmp_path / "none.safetensors")


def test_a_flat_empty_picture_gives_finite_numbers(read: Read) -> None:
    footprint = read(np.full((64, 64), 1000, np.uint16), black=0, white=FULL)
    assert all(np.isfinite(point.sigma) for point in footprint.curve)
    assert footprint["read_noise"].value is None


def test_planes_that_go_side_by_side_are_read_as_one_by_one(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.stack([planted(seed, shot_gain=1e-3, read_noise=4e-3) >> 8 for seed in (3, 4, 5)], -1).astype(np.uint8)
    together = read(picture)
    monkeypatch.setattr("noisediag.readout.questions.TOGETHER_PX", 0)
    alone = read(picture)
    for one, other in zip(together.planes, alone.planes, strict=True):
        assert one.name == other.name
        assert one.effective_sigma == pytest.approx(other.effective_sigma, rel=1e-4)
        assert one.signal_median == pytest.approx(other.signal_median)
    assert together.rendered is not None
    assert alone.rendered is not None
    assert together.rendered.processed == pytest.approx(alone.rendered.processed, abs=1e-4)


def test_the_same_picture_gives_the_same_report(estimator: Estimator, sample: Footprint) -> None:
    assert estimator.estimate(images.read(SAMPLE)).to_dict() == sample.to_dict()
