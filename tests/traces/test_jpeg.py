from __future__ import annotations

import importlib.util
import io
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL.Image
import pytest
import torch

from noisediag.genome import scenes
from noisediag.images import read
from noisediag.images.image import JpegTables
from noisediag.images.picture import jpeg_tables
from noisediag.traces import jpeg
from noisediag.traces.jpeg.blocks import MAX_PIXELS, luma_tiles
from noisediag.traces.jpeg.borders import block_strength

DOMAINS = os.environ.get("NOISEDIAG_DOMAINS")  # a folder of clean pictures, a sub-folder a domain
KINDS = ("photo", "leaves", "texture", "satellite", "tissue", "underwater")


def _accuracy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("jpeg_accuracy", Path(__file__).with_name("jpeg_accuracy.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


accuracy = _accuracy()


def colours(count: int, seed: int = 5, size: int = 192) -> list[np.ndarray]:
    """Clean colour pictures (size, size, 3) uint8, away from black and white: a scene with another in its chroma."""
    generator = torch.Generator().manual_seed(seed)
    luma = scenes.make(count, size, generator, kinds=KINDS).numpy()
    tint = scenes.make(count, size, generator, kinds=KINDS).numpy() - 0.5
    colour = 0.15 + 0.7 * luma[..., None] + 0.15 * tint[..., None] * np.array([1.0, -0.3, -0.8])
    return list(np.rint(np.clip(colour, 0, 1) * 255).astype(np.uint8))


@pytest.fixture(scope="module")
def some() -> list[np.ndarray]:
    return colours(4)


def through(codes: np.ndarray, *qualities: int) -> np.ndarray:
    for quality in qualities:
        codes = np.asarray(accuracy.compressed(codes, quality))
    return codes


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_tables_give_the_quality_exactly(mode: str) -> None:
    picture = PIL.Image.new(mode, (16, 16))
    for quality in range(1, 101):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        with PIL.Image.open(buffer) as opened:
            tables = jpeg_tables(opened)
        assert tables is not None
        assert (tables.chroma is None) == (mode == "L")
        assert jpeg.quality_of_tables(tables) == jpeg.TableQuality(quality, True)


def test_other_tables_give_the_nearest_quality() -> None:
    luma = jpeg.luma_table(90)
    finer = np.maximum(luma - np.arange(64) % 2, 1)
    found = jpeg.quality_of_tables(JpegTables(tuple(finer.tolist()), None))
    assert found.standard is False
    assert 90 <= found.quality <= 93
    # A luma and a chroma table of two qualities are no libjpeg file of one.
    mixed = JpegTables(tuple(luma.tolist()), tuple(jpeg.luma_table(50).tolist()))
    assert jpeg.quality_of_tables(mixed) == jpeg.TableQuality(90, False)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_reader_keeps_the_tables(tmp_path: Path, some: list[np.ndarray], subsampling: int) -> None:
    picture = PIL.Image.fromarray(some[0])
    picture.save(tmp_path / "a.jpg", quality=77, subsampling=subsampling)
    tables = read(tmp_path / "a.jpg").jpeg
    assert tables is not None
    np.testing.assert_array_equal(tables.chroma, jpeg.chroma_table(77))
    np.testing.assert_array_equal(tables.luma, jpeg.luma_table(77))
    picture.convert("L").save(tmp_path / "g.jpg", quality=77)
    assert read(tmp_path / "g.jpg").jpeg == JpegTables(tables.luma, None)
    picture.save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").jpeg is None


def test_extreme_tables(tmp_path: Path, some: list[np.ndarray]) -> None:
    """Steps of 16 bits are read and looked at; a step of 0 is damage, and no table."""
    path = tmp_path / "a.jpg"
    steps = [1] * 8 + [600] * 56
    PIL.Image.fromarray(some[0]).save(path, qtables=[steps, steps])
    with PIL.Image.open(path) as opened:
        tables = jpeg_tables(opened)
        found = jpeg.traces(np.asarray(opened), tables)
    assert tables is not None
    assert max(tables.luma) == 600
    assert found.standard is False
    data = bytearray(path.read_bytes())
    data[data.index(b"\xff\xdb") + 6] = 0  # behind marker, length and number, the high byte is 0 already
    path.write_bytes(bytes(data))
    image = read(path)
    assert image.jpeg is None
    assert image.warnings == ("a step of 0 in the JPEG quantiser tables: quality is looked for in the pixels",)


def test_rows_of_tables_are_vertical_frequencies() -> None:
    table = np.full(64, 1)
    table[8] = 40  # vertical frequency 1, horizontal 0
    codes = np.random.default_rng(0).normal(128, 25, (64, 64)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(codes).save(buffer, "JPEG", qtables=[table.tolist()])
    with PIL.Image.open(buffer) as opened:
        tables = jpeg_tables(opened)
        decoded = np.asarray(opened)
    assert tables is not None
    np.testing.assert_array_equal(tables.luma, table)
    order = np.arange(8)
    wave = np.cos(np.pi * (2 * order + 1) / 16) / 2
    coefficient = np.einsum("aibj,i->ab", decoded.reshape(8, 8, 8, 8) - 128.0, wave) / np.sqrt(8)
    inside = ~((decoded == 0) | (decoded == 255)).reshape(8, 8, 8, 8).any(axis=(1, 3))
    assert np.abs(coefficient / 40 - np.rint(coefficient / 40))[inside].max() < 0.05


def test_pixels_give_quality_grid_and_no_alarm() -> None:
    """Procedural scenes, half of them with noise, cropped at random: the figures of the issue."""
    named = [("scene", codes) for codes in colours(4, seed=8, size=160)]
    tally = accuracy.measure([*named, ("gray", named[0][1][..., 1])], twice=False)
    for errors in tally.errors.values():
        assert np.median(errors) <= 1
    every = np.concatenate([np.array(errors) for errors in tally.errors.values()])
    assert np.mean(np.nan_to_num(every, nan=99) <= 3) >= 0.97
    assert np.mean(tally.offsets) >= 0.99
    assert not any(tally.alarms["clean"] + tally.alarms["noisy"])
    for found in tally.once.values():
        assert np.mean(found) <= 0.03


@pytest.mark.parametrize(("first", "second"), [(60, 90), (75, 95), (90, 95), (75, 80)])
def test_resaved_on_the_same_grid(some: list[np.ndarray], first: int, second: int) -> None:
    found = [jpeg.traces(through(codes, first, second)) for codes in some]
    assert [entry.resaved for entry in found] == [True] * len(some)
    assert [entry.quality for entry in found] == [second] * len(some)
    assert [jpeg.traces(through(codes, second)).resaved for codes in some] == [False] * len(some)


@pytest.mark.parametrize(("first", "second"), [(60, 90), (75, 95)])
def test_resaved_after_a_crop(some: list[np.ndarray], first: int, second: int) -> None:
    found = [jpeg.traces(through(through(codes, first)[3:, 5:], second)).resaved for codes in some]
    assert found == [True] * len(some)


def test_same_quality_twice_leaves_no_trace(some: list[np.ndarray]) -> None:
    assert jpeg.traces(through(some[0], 85, 85)).resaved is False


def test_table_of_a_camera_is_found_in_pixels(some: list[np.ndarray]) -> None:
    """A flat table, as no libjpeg quality has it."""
    luma = np.full(64, 7)
    luma[:16] = 3
    for codes in some:
        buffer = io.BytesIO()
        PIL.Image.fromarray(codes).save(buffer, "JPEG", qtables=[luma.tolist(), luma.tolist()])
        with PIL.Image.open(buffer) as opened:
            tables = jpeg_tables(opened)
            found = jpeg.traces(np.asarray(opened))
        assert tables is not None
        assert found.standard is False
        assert found.quality == pytest.approx(jpeg.quality_of_tables(tables).quality, abs=4)


def test_block_strength_is_its_definition() -> None:
    # Steps of 1 everywhere, and of 3 across the borders of blocks that begin at row 2, column 5.
    rows, columns = (np.cumsum(np.where(np.arange(64) % 8 == start, 3, 1)) for start in (2, 5))
    codes = ((rows[:, None] + columns[None]) % 256).astype(np.uint8)[:, :64]
    assert codes.max() < 255
    assert block_strength(luma_tiles(codes)) == pytest.approx(2.0, abs=1e-6)
    assert block_strength(luma_tiles(codes), (2, 5)) == pytest.approx(2.0, abs=1e-6)
    assert block_strength(luma_tiles(codes), (0, 0)) == 0.0


def test_block_strength_falls_with_quality(some: list[np.ndarray]) -> None:
    for codes in some:
        strengths = [jpeg.traces(through(codes, quality)).block_strength for quality in (30, 60, 90)]
        assert None not in strengths
        assert strengths == sorted(strengths, reverse=True)  # type: ignore[type-var]
    white = np.random.default_rng(1).normal(128, 20, (256, 256)).clip(0, 255).astype(np.uint8)
    assert block_strength(luma_tiles(white)) == pytest.approx(0, abs=0.03)


def test_pictures_that_show_nothing() -> None:
    nothing = jpeg.Traces(None, None, None, None, None)
    assert jpeg.traces(np.full((64, 64), 90, np.uint8)) == nothing
    assert jpeg.traces(np.full((8, 9, 3), 255, np.uint8)) == nothing
    assert jpeg.traces(np.zeros((300, 1), np.uint8)).quality is None
    with pytest.raises(ValueError, match="uint8"):
        jpeg.traces(np.zeros((16, 16)))


def test_large_pictures_are_looked_at_in_part() -> None:
    """More than is looked at whole, the grid begun in the middle of a block, a quarter of it white."""
    whole = colours(1, size=640)[0]
    decoded = through(whole, 88)[6:, 3:].copy()
    decoded[:160] = 255
    assert decoded[..., 0].size > MAX_PIXELS
    found = jpeg.traces(decoded)
    assert (found.quality, found.offset, found.standard, found.resaved) == (88, (2, 5), True, False)


def test_other_lattices_are_no_jpeg(some: list[np.ndarray]) -> None:
    """Coarse codes, palettes, repeated pixels, other codecs, and a JPEG with noise on top or made smaller."""
    for codes in some:
        picture = PIL.Image.fromarray(codes)
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=60)
        decoded = through(codes, 70)
        grain = np.random.default_rng(0).normal(0, 3, codes.shape)
        changed = {
            "coarse": codes // 8 * 8 + 3,
            "palette": np.asarray(picture.quantize(64).convert("RGB")),
            "repeated": codes[:96, :96].repeat(2, axis=0).repeat(2, axis=1),
            "webp": np.asarray(PIL.Image.open(buffer)),
            "noise": np.rint(np.clip(decoded + grain, 0, 255)).astype(np.uint8),
            "smaller": np.asarray(PIL.Image.fromarray(decoded).resize((150, 150), PIL.Image.Resampling.BILINEAR)),
        }
        assert {name: jpeg.traces(values).quality for name, values in changed.items()} == dict.fromkeys(changed)


@pytest.mark.skipif(DOMAINS is None, reason="NOISEDIAG_DOMAINS names no folder of clean pictures")
def test_domains() -> None:
    tally = accuracy.measure(accuracy.pictures(Path(str(DOMAINS)), even=False, step=12), twice=False)
    for errors in tally.errors.values():
        assert np.nanmedian(errors) <= 3
    for found in (*tally.alarms.values(), *tally.once.values()):
        assert np.mean(found) <= 0.03
