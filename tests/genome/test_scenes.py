"""Scenes are clean, varied and repeatable; folders give the pictures they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from noisediag.errors import InputError, UnreadableError, UnsupportedError
from noisediag.genome import scenes
from noisediag.genome.clean import read_clean


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_every_kind_is_in_range_repeatable_and_different_each_time(kind: str) -> None:
    pictures = scenes.make(6, 96, generator(1), kinds=(kind,))
    assert pictures.shape == (6, 96, 96)
    assert pictures.dtype == torch.float32
    assert torch.isfinite(pictures).all()
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert torch.equal(pictures, scenes.make(6, 96, generator(1), kinds=(kind,)))
    assert len({picture.numpy().tobytes() for picture in pictures}) == 6


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


def test_folder_reads_8_and_16_bits_alike_and_counts_the_small_ones(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 40 * 48).reshape(40, 48)
    Image.fromarray((ramp * 255).round().astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray((ramp * 65535).round().astype(np.uint16)).save(tmp_path / "b.png")
    colour = np.zeros((40, 48, 3), np.uint8)
    colour[..., 1] = 255
    Image.fromarray(colour).save(tmp_path / "c.webp", lossless=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "d.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.warns(UserWarning, match="1 of 4"):
        crops = scenes.folder(tmp_path, 32)
    assert crops.shape == (3, 32, 32)
    expected = torch.from_numpy(ramp[4:36, 8:40]).float()
    torch.testing.assert_close(crops[0], expected, rtol=0, atol=0.5 / 255 + 1e-6)
    torch.testing.assert_close(crops[1], expected, rtol=0, atol=0.5 / 65535 + 1e-6)
    torch.testing.assert_close(crops[2], torch.full((32, 32), 0.587))


def test_folder_draws_its_crops_from_the_generator(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    first, again, other = (scenes.folder(tmp_path, 32, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_folder_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no picture"):
        scenes.folder(tmp_path, 32)
    with pytest.raises(UnreadableError, match="nowhere"):
        scenes.folder(tmp_path / "nowhere", 32)
    Image.fromarray(np.zeros((40, 40), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UnsupportedError, match="floating-point"):
        scenes.folder(tmp_path, 32)
    (tmp_path / "a.tif").unlink()
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)).save(whole)
    (tmp_path / "b.png").write_bytes(whole.read_bytes()[:200])
    with pytest.raises(InputError, match=r"b\.png"):
        scenes.folder(tmp_path, 32)


def test_one_reader_for_training_and_benchmark(tmp_path: Path) -> None:
    """A 12-bit OME-TIFF is as bright in both, and so is a colour PNG."""
    codes = np.full((48, 48), 1000, np.uint16)
    path = tmp_path / "twelve.tif"
    tifffile.imwrite(path, codes, ome=True, metadata={"axes": "YX", "SignificantBits": 12})
    assert float(read_clean(path).luma.mean()) == pytest.approx(1000 / 4095)
    assert float(scenes.folder(tmp_path, 32).mean()) == pytest.approx(1000 / 4095, abs=1e-6)
    path.unlink()
    colour = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "a.png")
    (tmp_path / ".hidden.png").write_bytes(b"no picture")
    (crop,) = scenes.folder(tmp_path, 32).numpy()
    np.testing.assert_array_equal(crop, read_clean(tmp_path / "a.png").luma.astype(np.float32))
    # Within one rounding of single precision of what training saw before.
    np.testing.assert_allclose(crop, colour.astype(np.float32) @ np.float32([0.299, 0.587, 0.114]) / 255, atol=1.2e-7)
