"""Pictures in which pixels hold no value: the others tell their noise, and nothing is invented."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from noisediag import images
from noisediag.cop.tokens import tokenize
from noisediag.errors import UnreadableError
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint
from noisediag.readout import gaps, missing
from noisediag.readout.mending import tokens_of
from noisediag.readout.tiles import Bag, cut, join, luma, thinned

SIDE, SIGMA, WHITE = 192, 10.0, 4096.0
Mask = np.ndarray


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    torch.set_num_threads(1)
    return Estimator(device="cpu")


def smooth(side: int = SIDE) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side
    return np.asarray(1000 + 150 * np.sin(3 * x + 1) + 100 * np.cos(4 * y) + 60 * np.sin(5 * (x + y)))


def noisy(seed: int = 0, side: int = SIDE) -> np.ndarray:
    return np.asarray(smooth(side) + np.random.default_rng(seed).normal(0, SIGMA, (side, side)), np.float32)


def places(kind: str, side: int = SIDE) -> Mask:
    """Where pixels are missing: 0.02 to 50 % of them."""
    generator = np.random.default_rng(7)
    y, x = np.mgrid[:side, :side]
    masks = {
        "columns": x < 20,
        "nine": np.isin(y * side + x, generator.integers(0, side**2, 9)),
        "corner": (y < 0.55 * side) & (x < 0.55 * side),
        "disc": np.hypot(y - side / 2, x - side / 2) > 0.46 * side,
        "scattered": generator.random((side, side)) < 0.3,
        "stripes": x % 40 < 12,
        "lines": y % 2 == 1,
    }
    return np.asarray(masks[kind])


def with_holes(kind: str, values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float32)
    values[places(kind, len(values))] = np.nan
    return values


def bag_of(values: np.ndarray) -> Bag:
    (plane,) = images.from_array(values, black=0, white=WHITE).planes
    return cut([(plane, values)], 24)


class TestAnswers:
    @pytest.mark.parametrize("kind", ["columns", "nine", "corner", "disc", "scattered", "stripes"])
    def test_sigma_is_that_of_the_others(self, estimator: Estimator, kind: str) -> None:
        values = with_holes(kind, noisy())
        footprint = estimator.estimate(images.from_array(values, black=0, white=WHITE))
        plane = footprint.planes[-1]
        assert plane.law.sigma(plane.signal_median) * WHITE == pytest.approx(SIGMA, rel=0.03)
        assert plane.missing_share == pytest.approx(np.isnan(values).mean())
        for name in ("correlation", "row_noise", "column_noise", "impulse"):
            assert plane[name].value is None, name
        assert footprint.structure.pixel_independent is not False
        point = plane.curve[8]
        assert point.low <= 1.01 * SIGMA / WHITE  # of 90 %: one in ten may just miss it
        assert point.high >= 0.99 * SIGMA / WHITE

    def test_codes_that_mean_no_value(self, estimator: Estimator) -> None:
        values = np.rint(noisy()).astype(np.uint16)
        values[places("corner")] = 0
        image = images.from_array(values, black=0, white=WHITE)
        image = replace(image, planes=(replace(image.planes[0], missing_code=0.0),))
        whole = estimator.estimate(image).planes[-1]
        assert whole.law.sigma(whole.signal_median) * WHITE == pytest.approx(SIGMA, rel=0.03)
        assert whole["quantisation"].value_dn == pytest.approx(1, rel=0.01)
        assert whole.missing_share == pytest.approx(places("corner").mean())

    def test_shared_noise_is_not_hidden_by_what_fills_the_gaps(self, estimator: Estimator) -> None:
        shared = gaussian_filter(np.random.default_rng(1).normal(0, 1, (SIDE, SIDE)), 0.7)
        values = with_holes("scattered", smooth() + SIGMA * shared / shared.std())
        footprint = estimator.estimate(images.from_array(values, black=0, white=WHITE))
        plane = footprint.planes[-1]
        assert plane["correlation"].flag != "below_floor"
        assert footprint.structure.pixel_independent is not True
        point = plane.curve[8]
        assert point.low <= SIGMA / WHITE <= point.high

    def test_the_map_and_the_embedding(self, estimator: Estimator) -> None:
        values = with_holes("corner", noisy())
        image = images.from_array(values, black=0, white=WHITE)
        footprint = estimator.estimate(image)
        sigmas = estimator.sigma_map(image, footprint)
        assert np.array_equal(np.isnan(sigmas), np.isnan(values))
        assert np.nanmedian(sigmas) == pytest.approx(SIGMA, rel=0.03)
        whole = images.from_array(noisy(), black=0, white=WHITE)
        far = images.from_array(
            noisy() + 5 * SIGMA * np.random.default_rng(2).random((SIDE, SIDE)), black=0, white=WHITE
        )
        own, same, other = (estimator.embed(one) for one in (image, whole, far))
        assert np.linalg.norm(own - same) < np.linalg.norm(own - other)

    def test_the_same_picture_has_the_same_answer(self, estimator: Estimator) -> None:
        def answer() -> Footprint:
            return estimator.estimate(images.from_array(with_holes("scattered", noisy(3, 96)), black=0, white=WHITE))

        assert answer().to_dict() == answer().to_dict()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda a: np.full_like(a, np.nan), "no pixel holds a value"),
            (lambda a: np.where(np.random.default_rng(0).random(a.shape) < 0.9, np.nan, a), "too few of the pixels"),
            (lambda a: np.where(np.mgrid[:96, :96][0] < 90, np.nan, a), "too few to tell noise from picture"),
        ],
    )
    def test_hardly_a_pixel_is_told_in_one_line(
        self, estimator: Estimator, make: Callable[[np.ndarray], np.ndarray], message: str
    ) -> None:
        values = make(noisy(0, 96)).astype(np.float32)
        with pytest.raises(UnreadableError, match=message) as caught:
            estimator.estimate(images.from_array(values, black=0, white=WHITE))
        assert "\n" not in str(caught.value)


class TestTiles:
    def test_borders_without_values_are_cut_off(self) -> None:
        values = np.full((300, 300), np.nan, np.float32)
        values[40:240, 30:222] = noisy(0, 200)[:, :192]
        bag = bag_of(values)
        assert bag.tiles.shape == (1, 200, 192)
        assert bag.missing is not None
        assert not bag.missing.any()
        assert np.array_equal(bag.tiles[0], values[40:240, 30:222] / np.float32(WHITE))

    def test_full_tiles_come_first(self) -> None:
        values = np.random.default_rng(0).normal(1000, 10, (2048, 2048)).astype(np.float32)
        values[300:2000, ::2] = np.nan
        bag = bag_of(values)
        assert bag.missing is not None
        assert len(bag.tiles) == 24
        assert (bag.missing.mean((1, 2)) == 0).sum() == 8  # the first row of tiles; hardly more than half of others

    def test_what_is_filled_in_is_drawn_from_near_by(self) -> None:
        values = np.random.default_rng(0).normal(1000, SIGMA, (64, 64)).astype(np.float32)
        mask = places("scattered", 64)
        result = missing.filled(values, mask, (0,))
        assert np.array_equal(result[~mask], values[~mask])
        assert np.isin(result[mask], values[~mask]).all()
        assert result[mask].std() == pytest.approx(SIGMA, rel=0.1)

    def test_bags_go_on_together_with_what_they_miss(self) -> None:
        one, other = bag_of(with_holes("corner", noisy(0, 64))), bag_of(noisy(1, 64))
        both = join([one, other])
        assert both.missing is not None
        assert both.missing[0].mean() == pytest.approx(places("corner", 64).mean(), abs=0.01)
        assert not both.missing[1].any()
        assert both.missing_share == one.missing_share / 2
        assert thinned(both, 1).missing is not None

    def test_a_luma_misses_what_one_of_its_colours_misses(self) -> None:
        colours = np.stack([noisy(seed, 64) for seed in range(3)], -1)
        colours[:8, :, 1] = np.nan
        values = luma(images.from_array(colours, domain="rendered").planes)
        assert np.array_equal(np.isnan(values).any(1), np.arange(64) < 8)


class TestTokens:
    def test_a_bag_that_misses_nothing_has_the_tokens_it_always_had(self) -> None:
        whole, holed = bag_of(noisy(0, 64)), bag_of(with_holes("corner", noisy(1, 64)))
        alone = tokenize(torch.from_numpy(whole.tiles)[None])
        both = tokens_of([whole, holed], torch.device("cpu"))
        assert torch.equal(both.energy[0], alone.energy[0])
        assert torch.equal(both.moments[0], alone.moments[0])
        assert both.left_out is not None
        assert not both.left_out[0].any()
        assert tokens_of([whole], torch.device("cpu")).left_out is None

    def test_blocks_that_miss_many_give_way_to_others(self) -> None:
        bag = bag_of(with_holes("corner", noisy(0, 64)))
        tokens = tokens_of([bag], torch.device("cpu"))
        plain = tokenize(torch.from_numpy(bag.tiles)[None])
        assert tokens.left_out is not None
        left_out = tokens.split(tokens.left_out)[0][0, 0]
        assert torch.equal(left_out, torch.from_numpy(missing.block_shares(places("corner", 64)[None], 0)[0] > 0.1))
        kept = set(plain.mean[~tokens.left_out].tolist())
        assert set(tokens.mean[tokens.left_out].tolist()) <= kept

    @pytest.mark.parametrize("kind", ["scattered", "lines"])
    def test_the_spectrum_of_white_noise_stays_flat(self, kind: str) -> None:
        white = (2000 + np.random.default_rng(5).normal(0, SIGMA, (256, 256))).astype(np.float32)
        bag = bag_of(with_holes(kind, white))
        plain = tokenize(torch.from_numpy(bag.tiles)[None]).energy.mean((0, 1)) * WHITE**2 / SIGMA**2
        bands = tokens_of([bag], torch.device("cpu")).energy.mean((0, 1)) * WHITE**2 / SIGMA**2
        assert (plain - 1).abs().max() > 0.15
        assert (bands - 1).abs().max() < 0.08


class TestGaps:
    def test_independent_noise_differs_as_much_near_by_as_far_off(self) -> None:
        ratio = gaps.nearness(bag_of(with_holes("scattered", noisy())))
        assert ratio == pytest.approx(1, abs=0.1)

    def test_shared_noise_does_not(self) -> None:
        shared = smooth() + 15 * gaussian_filter(np.random.default_rng(1).normal(0, 1, (SIDE, SIDE)), 0.5)
        ratio = gaps.nearness(bag_of(with_holes("scattered", shared)))
        assert ratio is not None
        assert ratio < 0.8

    def test_it_matters_only_where_pixels_are_missing_here_and_there(self) -> None:
        assert gaps.nearness(bag_of(noisy())) is None
        assert gaps.nearness(bag_of(with_holes("corner", noisy()))) is None
