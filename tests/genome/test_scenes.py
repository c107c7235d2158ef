"""Scenes are clean, varied and repeatable."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisediag.genome import scenes
from noisediag.genome.painters import PAINTERS


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_every_kind_is_in_range_repeatable_and_different_each_time(kind: str) -> None:
    pictures = scenes.make(4, 64, generator(1), kinds=(kind,))
    assert pictures.shape == (4, 64, 64)
    assert pictures.dtype == torch.float32
    assert torch.isfinite(pictures).all()
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert torch.equal(pictures, scenes.make(4, 64, generator(1), kinds=(kind,)))
    assert len({picture.numpy().tobytes() for picture in pictures}) == 4


def test_small_and_odd_sizes_are_drawn_too() -> None:
    for size in (32, 101):
        assert scenes.make(len(scenes.KINDS), size, generator(), kinds=scenes.KINDS).shape[1:] == (size, size)


def test_flat_areas_of_graphics_keep_exact_levels() -> None:
    pictures = scenes.make(12, 128, generator(2), kinds=("line_art",))
    for picture in pictures:
        _, counts = picture.unique(return_counts=True)
        assert counts.max() > 0.25 * picture.numel()  # the paper; the rest are ink, antialiased edges and shading
    assert ((pictures == 0) | (pictures == 1)).float().mean() > 0.3
    steps = scenes.make(12, 128, generator(3), kinds=("graphic",)).numpy() * 255
    shares = [np.mean(np.abs(picture - np.round(picture)) < 1e-4) for picture in steps]
    assert np.median(shares) > 0.5  # 8-bit levels


def test_the_kinds_range_from_flat_to_fine() -> None:
    pictures = scenes.make(120, 96, generator(4))
    blocks = pictures.reshape(120, 12, 8, 12, 8).permute(0, 1, 3, 2, 4).reshape(120, 144, 64).std(2)
    flat = (blocks < 0.5 / 255).float().mean(1)
    assert (flat > 0.5).float().mean() > 0.05
    assert (flat < 0.02).float().mean() > 0.2
    assert (blocks.median(1).values > 0.03).float().mean() > 0.2


TILE = 32


def like_noise(picture: np.ndarray) -> np.ndarray:
    """Which of the tiles with any detail nobody could tell from noise: equally strong at all fine frequencies but
    for chance, and second differences of normal distribution."""
    n = len(picture) // TILE
    tiles = (
        picture[: n * TILE, : n * TILE].astype(float).reshape(n, TILE, n, TILE).swapaxes(1, 2).reshape(-1, TILE, TILE)
    )
    rows, columns = tiles[:, :-2, 1:-1] + tiles[:, 2:, 1:-1], tiles[:, 1:-1, :-2] + tiles[:, 1:-1, 2:]
    rough = 4 * tiles[:, 1:-1, 1:-1] - rows - columns
    tiles, rough = (a[rough.std((1, 2)) > 0.2 / 255] for a in (tiles, rough))
    kurtosis = (rough**4).mean((1, 2)) / np.maximum((rough**2).mean((1, 2)), 1e-20) ** 2
    window = np.outer(np.hanning(TILE), np.hanning(TILE))
    fine = np.hypot(*np.meshgrid(np.fft.fftfreq(TILE), np.fft.fftfreq(TILE))) > 0.2
    power = np.abs(np.fft.fft2((tiles - tiles.mean((1, 2), keepdims=True)) * window))[:, fine] ** 2 + 1e-20
    flatness = np.exp(np.log(power).mean(1)) / power.mean(1)  # 0.56 where all frequencies are equally likely
    return (np.abs(kurtosis - 3) < 0.8) & (flatness > 0.45)


def test_the_measure_of_noise_knows_noise() -> None:
    rng = np.random.default_rng(0)
    for picture in scenes.make(4, 128, generator(1), kinds=("gradient",)).numpy():
        white = rng.standard_normal(picture.shape)
        assert like_noise(picture + 0.02 * white).mean() > 0.8
        assert like_noise(picture + 0.02 * (white + 0.3 * np.roll(white, 1, 0))).mean() > 0.5


@pytest.mark.parametrize("kind", scenes.FINE)
def test_fine_scenes_have_no_noise_of_their_own(kind: str) -> None:
    tiles = [like_noise(picture) for picture in scenes.make(4, 160, generator(11), kinds=(kind,)).numpy()]
    assert np.concatenate(tiles).mean() < 0.03


@pytest.mark.parametrize("kind", ["weave", "halftone", "ground", "wood", "aerial", "cortex"])
def test_a_finer_lattice_shows_the_same_scene(kind: str) -> None:
    def detail(picture: np.ndarray) -> float:
        neighbours = picture[:-2, 1:-1] + picture[2:, 1:-1] + picture[1:-1, :-2] + picture[1:-1, 2:]
        return float((picture[1:-1, 1:-1] - neighbours / 4).std())

    ratios = []
    for seed in range(4):
        usual, finer = (PAINTERS[kind](64, np.random.default_rng(seed), **more) for more in ({}, {"fine": 8}))
        ratios.append(detail(usual - finer) / max(detail(usual), 1e-3))
    assert np.median(ratios) < 0.4  # what is drawn anew for every pixel would give 1.4
    assert max(ratios) < 0.6


def test_benchmarks_draw_the_kinds_they_drew_from_the_first() -> None:
    assert not set(scenes.COMMON) & {"glow", *scenes.FINE}
    assert set(scenes.COMMON) | {"glow", *scenes.FINE} == set(scenes.KINDS)
    assert torch.equal(scenes.make(5, 48, generator(3)), scenes.make(5, 48, generator(3), kinds=scenes.COMMON))
    assert set(scenes.TRAINING) == set(scenes.KINDS) - {"glow"}


def test_a_mapping_says_how_often_each_kind_is_drawn() -> None:
    pictures = scenes.make(300, 32, generator(4), kinds={"flat": 3.0, "crowd": 1.0})
    smooth = (pictures.diff(dim=1).abs().mean((1, 2)) < 1e-2).float().mean()
    assert abs(smooth - 0.75) < 0.1


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(KeyError, match="dogs"):
        scenes.make(1, 64, generator(), kinds=("dogs",))


def test_vary_changes_most_pictures_and_keeps_the_exact_levels_of_the_rest() -> None:
    levels = torch.tensor([0.0, 51 / 255, 204 / 255, 1.0])
    batch = levels[torch.randint(4, (400, 16, 24), generator=generator(6))]
    before = batch.clone()
    varied = scenes.vary(batch, generator(7))
    assert torch.equal(batch, before)
    assert varied.shape == batch.shape
    assert 0 <= varied.min() <= varied.max() <= 1
    histogram = torch.stack([(varied == level).sum((1, 2)) for level in levels])
    exact = (histogram == torch.stack([(batch == level).sum((1, 2)) for level in levels])).all(0)
    assert 0.2 < exact.float().mean() < 0.5
    assert torch.equal(varied, scenes.vary(batch, generator(7)))
    assert (varied.mean((1, 2)) < 0.1).any()  # underexposed


def test_vary_sets_black_and_white_points_of_some_pictures() -> None:
    ramp = torch.linspace(0.3, 0.7, 32 * 32).reshape(1, 32, 32).expand(1000, -1, -1)
    varied = scenes.vary(ramp, generator(9)).flatten(1)
    black, white = ((varied == level).float().mean(1) > 0.1 for level in (0.0, 1.0))
    assert 0.02 < white.float().mean() < 0.25
    assert 0.02 < black.float().mean() < 0.25
    assert (white & black).any()


def test_vary_turns_squares_in_all_eight_ways() -> None:
    corner = torch.zeros(800, 16, 16)
    corner[:, 0, 1] = 1.0
    varied = scenes.vary(corner, generator(8))
    places = {int(place) for place in varied.flatten(1).argmax(1)}
    assert places >= {1, 14, 16, 31, 224, 239, 241, 254}
