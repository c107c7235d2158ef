"""Clean pictures are read the same way for training, benchmark and simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from noisediag.errors import InputError, UnreadableError, UsageError
from noisediag.genome.clean import crops, read_clean


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_significant_bits_count_in_every_use(tmp_path: Path) -> None:
    """12 bits in a 16-bit container: 1000 of 4095 is 0.244, and not 0.015."""
    codes = np.full((40, 40), 1000, np.uint16)
    codes[0, 0] = 1001  # not a constant picture
    tifffile.imwrite(tmp_path / "a.ome.tif", codes, ome=True, metadata={"axes": "YX", "SignificantBits": 12})
    assert read_clean(tmp_path / "a.ome.tif").luma.mean() == pytest.approx(1000 / 4095, rel=1e-5)
    assert crops(tmp_path, 40).mean().item() == pytest.approx(1000 / 4095, rel=1e-5)


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
        cut = crops(tmp_path, 32)
    assert cut.shape == (3, 32, 32)
    expected = torch.from_numpy(ramp[4:36, 8:40]).float()
    torch.testing.assert_close(cut[0], expected, rtol=0, atol=0.5 / 255 + 1e-6)
    torch.testing.assert_close(cut[1], expected, rtol=0, atol=0.5 / 65535 + 1e-6)
    torch.testing.assert_close(cut[2], torch.full((32, 32), 0.587))


def test_folder_draws_its_crops_from_the_generator(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    first, again, other = (crops(tmp_path, 32, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_folder_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no picture"):
        crops(tmp_path, 32)
    with pytest.raises(UnreadableError, match="nowhere"):
        crops(tmp_path / "nowhere", 32)
    floats = np.random.default_rng(0).random((40, 40), np.float32) + 1
    Image.fromarray(floats).save(tmp_path / "a.tif")
    with pytest.raises(UsageError, match="floats beyond 0 to 1"):
        crops(tmp_path, 32)
    (tmp_path / "a.tif").unlink()
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)).save(whole)
    (tmp_path / "b.png").write_bytes(whole.read_bytes()[:200])
    with pytest.raises(InputError, match=r"b\.png"):
        crops(tmp_path, 32)
