"""What is said of a plane beyond the model's numbers: bounds, flags, and nulls where the picture cannot tell."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from noisediag import images
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint
from noisediag.genome.cases import bayer_image
from noisediag.images.image import Domain, Image
from noisediag.readout.tiles import plan

WHITE = 65535
STEP = 0.03  # of the coarse levels below

Floats = NDArray[np.float64]
Read = Callable[..., Footprint]


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(device="cpu")


@pytest.fixture
def read(estimator: Estimator) -> Read:
    """`read(values)`: the footprint of normalised values in 16 bits, black and white known."""

    def read(values: Floats, *, step: float = 1 / WHITE) -> Footprint:
        codes = np.clip(np.rint(WHITE * step * np.rint(values / step)), 0, WHITE).astype(np.uint16)
        return estimator.estimate(images.from_array(codes, black=0, white=WHITE))

    return read


def ramp(size: int = 224) -> Floats:
    """Light from a tenth to nine tenths of white, with an edge."""
    light = np.linspace(0.1, 0.9, size)[None].repeat(size, axis=0)
    light[: size // 3] = 1 - light[: size // 3]
    return light


def sensed(clean: Floats, seed: int = 0, *, shot: float = 0.0, read: float = 0.0) -> Floats:
    rng = np.random.default_rng(seed)
    light = shot * rng.poisson(clean / shot) if shot > 0 else clean
    return light + read * rng.standard_normal(clean.shape)


class TestUpperBounds:
    @pytest.mark.parametrize(
        ("level", "shot", "dark", "seed"), [(0.4, 5e-4, 1e-2, 2), (0.4, 5e-4, 1e-2, 5), (0.7, 1e-3, 1e-2, 3)]
    )
    def test_no_single_noise_of_a_flat_field_is_stronger_than_all_of_it(
        self, read: Read, level: float, shot: float, dark: float, seed: int
    ) -> None:
        """A flat field does not show which noise it is: bounds are those of the whole, and a half more for its error.

        Here the head by itself would allow from two to more than three times the whole.
        """
        sigma = math.sqrt(shot * level + dark**2)
        footprint = read(sensed(np.full((224, 224), level), seed, shot=shot, read=dark))
        for name, most in (("read_noise", sigma), ("shot_gain", sigma**2 / level), ("multiplicative", sigma / level)):
            assert footprint[name].high <= 1.55 ** (2 if name == "shot_gain" else 1) * most, name
        assert footprint["read_noise"].high > 1.45 * sigma


class TestPlanesThatDiffer:
    @staticmethod
    def bayer(blue: float) -> Image:
        """A mosaic whose blue plane has `blue` times the shot noise of the others."""
        clean = ramp(320)
        noisy = sensed(clean, 1, shot=3e-4, read=2e-3)
        noisy[1::2, 1::2] = sensed(clean, 2, shot=blue * 3e-4, read=2e-3)[1::2, 1::2]
        codes = np.clip(np.rint(128 + 3967 * noisy), 0, 4095).astype(np.uint16)
        return bayer_image(codes, black=128, white=4095, bits=12)

    def test_a_value_that_would_be_none_of_theirs_is_null(self, estimator: Estimator) -> None:
        footprint = estimator.estimate(self.bayer(10))
        whole, blue, red = footprint["shot_gain"], footprint.planes[3]["shot_gain"], footprint.planes[0]["shot_gain"]
        assert whole.flag == "planes_differ"
        assert whole.value is None
        assert "planes_differ" in footprint.flags
        assert (whole.low, whole.high) == (min(p["shot_gain"].low for p in footprint.planes[:4]), blue.high)
        assert whole.low <= red.value < blue.value

    def test_planes_that_agree_have_one_value(self, estimator: Estimator) -> None:
        footprint = estimator.estimate(self.bayer(1))
        assert footprint["shot_gain"].value == pytest.approx(3e-4, rel=0.2)
        assert "planes_differ" not in footprint.flags


class TestFlags:
    def test_few_pixels(self, read: Read) -> None:
        assert "few_pixels" in read(sensed(ramp(56), read=0.01)).flags
        assert "few_pixels" not in read(sensed(ramp(72), read=0.01)).flags

    def test_out_of_domain(self, read: Read) -> None:
        down, across = np.mgrid[:224, :224]
        board = 0.5 + 0.3 * (-1.0) ** (down + across) * np.cos(np.hypot(down - 112, across - 112) / 4)
        assert "out_of_domain" in read(sensed(board, read=5e-3)).flags
        assert "out_of_domain" not in read(sensed(ramp(), shot=1e-3, read=5e-3)).flags

    def test_out_of_range(self, estimator: Estimator) -> None:
        """More read noise than the parameter's range holds, in data that nothing clips."""
        noisy = sensed(0.2 * ramp() + 2, read=0.4).astype(np.float32)
        estimate = estimator.estimate(images.from_array(noisy - 2, black=0, white=1))["read_noise"]
        assert estimate.value == pytest.approx(0.4, rel=0.15)
        assert estimate.flag == "out_of_range"


class TestBelowTheLevels:
    """Noise below half a step between the levels: the picture does not hold it."""

    def test_is_bounded_and_not_measured(self, read: Read) -> None:
        footprint = read(sensed(ramp(256), 3, shot=(0.35 * STEP) ** 2 / 0.5), step=STEP)
        assert footprint["shot_gain"].present > 0.9  # noticed all the same
        for name in ("shot_gain", "read_noise"):
            assert footprint[name].value is None
            assert footprint[name].flag == "below_floor"
            assert footprint[name].low == 0
            assert footprint[name].high > 0

    def test_the_curve_may_be_nothing_and_is_no_less_than_rounding(self, read: Read) -> None:
        footprint = read(sensed(ramp(256), read=0.1 * STEP), step=STEP)
        assert all(point.low == 0 for point in footprint.curve)
        # The variance of a value that is uniform over one step is step^2 / 12.
        assert footprint.sigma(np.linspace(0, 1, 11)).min() == pytest.approx(STEP / math.sqrt(12), rel=1e-3)

    def test_a_curve_of_noise_that_was_found_is_never_nothing(self, read: Read) -> None:
        assert all(point.low > 0.8 * point.sigma for point in read(sensed(ramp(), shot=1e-3, read=5e-3)).curve)


class TestAtTheLimits:
    @pytest.mark.parametrize("above", [0.0, 0.5, 1.0])
    def test_noise_that_black_cuts_is_given_back(self, read: Read, above: float) -> None:
        """A dark frame `above` sigmas over black: up to half of its pixels are cut, and 7 % of error are allowed."""
        sigma = 0.01
        footprint = read(sensed(np.full((256, 256), above * sigma), 3, read=sigma))
        assert footprint.sigma(above * sigma) == pytest.approx(sigma, rel=0.07)

    @pytest.mark.parametrize("phase", [0.0, 0.25, 0.5])
    def test_coarse_levels_give_the_same_noise_wherever_the_mean_lies_between_two(
        self, read: Read, phase: float
    ) -> None:
        """Rounding adds step^2/12 on average; of a flat field up to a third more or less, by where its mean lies."""
        level, sigma = (13 + phase) * STEP, 0.4 * STEP
        footprint = read(sensed(np.full((256, 256), level), 2, read=sigma), step=STEP)
        assert footprint.sigma(level) == pytest.approx(math.hypot(sigma, STEP / math.sqrt(12)), rel=0.06)


class TestTiles:
    @pytest.mark.parametrize(("domain", "aligned"), [("rendered", True), ("linear", False)])
    def test_of_rendered_pictures_begin_where_blocks_of_jpeg_do(self, domain: Domain, aligned: bool) -> None:
        """Compression by blocks of 8 px would look like noise between tiles that begin within one."""
        rows, columns = np.mgrid[:310, :520]
        codes = (8 * (rows % 8) + columns % 8).astype(np.uint8)
        tiles = np.concatenate(
            [bag.tiles for part in plan(images.from_array(codes, domain=domain)) for _, bag in part.bags]
        )
        assert len(tiles) > 3
        assert (tiles[:, 0, 0] == 0).all() == aligned


class TestCalibration:
    """What the checkpoint's calibration says is applied: to the pictures of its group, on the side it is meant for."""

    @staticmethod
    def calibrated(estimator: Estimator, change: Callable[[dict[str, Any]], None]) -> Estimator:
        """`estimator` with another calibration."""
        other = copy.copy(estimator)
        other.model = copy.copy(estimator.model)
        other.model.calibration = copy.deepcopy(dict(estimator.model.calibration))
        change(other.model.calibration)
        return other

    @pytest.fixture
    def noisy(self) -> Image:
        """256 x 256 px under shot and read noise; its row noise is not seen."""
        codes = np.rint(WHITE * sensed(ramp(256), 5, shot=1e-3, read=2e-2)).clip(0, WHITE).astype(np.uint16)
        return images.from_array(codes, black=0, white=WHITE)

    @staticmethod
    def widths(footprint: Footprint) -> list[float]:
        """Halves of intervals, in logarithms: of the shot gain and of the curve's first point, below and above."""
        shot, point = footprint["shot_gain"], footprint.curve[0]
        return [
            math.log(shot.value / shot.low),
            math.log(shot.high / shot.value),
            math.log(point.sigma / point.low),
            math.log(point.high / point.sigma),
        ]

    @staticmethod
    def stretch(calibration: dict[str, Any], groups: Callable[[str], bool], low: float, high: float) -> None:
        for name in ("shot_gain", "curve"):
            table = calibration["intervals"][name]
            for group in table:
                if groups(group):
                    table[group] = [table[group][0] * low, table[group][1] * high]

    def test_factors_stretch_each_side_of_an_interval(self, estimator: Estimator, noisy: Image) -> None:
        before = self.widths(estimator.estimate(noisy))
        other = self.calibrated(estimator, lambda c: self.stretch(c, lambda group: True, 2.0, 0.5))
        after = self.widths(other.estimate(noisy))
        assert after[:2] == pytest.approx([2 * before[0], before[1] / 2], rel=1e-3)
        # The curve's interval lies about a middle that is not quite the fitted curve.
        assert after[2] > 1.5 * before[2]
        assert after[3] < 0.8 * before[3]

    def test_each_group_of_pictures_has_its_own(self, estimator: Estimator, noisy: Image) -> None:
        """1,922 blocks of both grids, a wide range of signals, little content."""
        before = self.widths(estimator.estimate(noisy))
        names = estimator.model.calibration["intervals"]["shot_gain"]
        moved = [
            name
            for name in names
            if self.widths(
                self.calibrated(estimator, lambda c, n=name: self.stretch(c, n.__eq__, 2.0, 2.0)).estimate(noisy)
            )
            != before
        ]
        assert moved == ["size1-span1-smooth1-lean0"]

    def test_raw_files_have_theirs(self, estimator: Estimator, noisy: Image) -> None:
        """The same pixels, as the mosaic of a camera: the factors of RAW files hold, and no others."""
        codes = noisy.planes[0].load()
        raw = bayer_image(np.kron(codes, np.ones((2, 2), np.uint16)), black=0, white=WHITE, bits=16)
        raws = self.calibrated(estimator, lambda c: self.stretch(c, lambda g: g.startswith("raw"), 2.0, 2.0))
        rest = self.calibrated(estimator, lambda c: self.stretch(c, lambda g: not g.startswith("raw"), 2.0, 2.0))
        before, stretched, same = (self.widths(e.estimate(raw)) for e in (estimator, raws, rest))
        assert stretched[:2] == pytest.approx([2 * width for width in before[:2]], rel=1e-3)
        assert same == before

    def test_an_alarm_is_given_beyond_the_shift_only(self, estimator: Estimator, noisy: Image) -> None:
        before = estimator.estimate(noisy)["shot_gain"]
        assert before.present > 0.5
        logit = math.log(before.present / (1 - before.present))

        def shifted(by: float) -> Estimator:
            return self.calibrated(
                estimator, lambda c: c["alarms"].__setitem__("shot_gain", c["alarms"]["shot_gain"] + by)
            )

        after = shifted(logit + 1).estimate(noisy)["shot_gain"]
        assert after.present == pytest.approx(1 / (1 + math.e), rel=1e-3)
        assert after.value is None
        assert shifted(logit - 1).estimate(noisy)["shot_gain"].value == before.value

    def test_the_limit_of_what_is_not_seen_is_moved(self, estimator: Estimator, noisy: Image) -> None:
        before = estimator.estimate(noisy)["row_noise"]
        assert before.value is None

        def change(calibration: dict[str, Any]) -> None:
            table = calibration["limits"]["row_noise"]
            table.update({group: shift + math.log(2) for group, shift in table.items()})

        after = self.calibrated(estimator, change).estimate(noisy)["row_noise"]
        assert after.high == pytest.approx(2 * before.high, rel=1e-3)
