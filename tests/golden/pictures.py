"""Small pictures of every kind of file, and the sample that ships with the repository.

They are made from seeds by numpy alone: nothing of the product can change them.

Each function writes one file into a folder and returns its path. The clean scene has slopes, blobs, edges and smooth
areas; signals are normalised.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from noisediag.images.dng_writing import DngTags, write_dng

Floats = NDArray[np.float64]
Make = Callable[[Path, np.random.Generator], Path]
PICTURES: dict[str, Make] = {}
# Read as a user does who knows the scale: without its black, a picture shows no read noise.
KNOWN_SCALE = (
    "flat flat_on_coarse_levels clipped quantised hidden_below_half_a_step impulses correlated column_noise "
    "multiplicative periodic nothing_but_content stronger_than_any_camera outside_of_what_was_trained"
).split()


def levels(name: str) -> dict[str, float]:
    """What `noisediag estimate` is told of the scale of the picture called `name`."""
    white = 1.0 if name == "stronger_than_any_camera" else 65535.0
    return {"black": 0.0, "white": white} if name in KNOWN_SCALE else {}


def picture(make: Make) -> Make:
    """Declare one of PICTURES under the name of its function."""
    PICTURES[make.__name__] = make
    return make


def make(name: str, folder: Path) -> Path:
    """Write the picture called `name`, the same bytes each time, into `folder`."""
    return PICTURES[name](folder / name, np.random.default_rng(zlib.crc32(name.encode())))


def scene(
    rng: np.random.Generator, height: int = 192, width: int = 192, low: float = 0.03, high: float = 0.9
) -> Floats:
    """A clean picture `(height, width)` between `low` and `high`."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    clean = 0.4 * x + 0.3 * y
    for _ in range(12):
        cy, cx, size = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.03, 0.15)
        shape = np.hypot(y - cy, x - cx) / size
        clean = clean + rng.uniform(-0.5, 0.8) * (np.exp(-(shape**2)) if rng.random() < 0.6 else shape < 1)
    clean = ndimage.gaussian_filter(clean, 0.6)
    clean = (clean - clean.min()) / np.ptp(clean)
    return low + (high - low) * clean


def noisy(clean: Floats, shot: float, read: float, rng: np.random.Generator) -> Floats:
    """`clean` under shot noise of gain `shot` and Gaussian read noise."""
    light = rng.poisson(np.maximum(clean, 0) / shot) * shot if shot else clean
    return light + read * rng.standard_normal(clean.shape)


def tiff(path: Path, values: Floats, white: float = 65535, **options: object) -> Path:
    """16 bits, codes from 0 to `white`."""
    codes = np.clip(np.rint(values * white), 0, white).astype(np.uint16)
    tifffile.imwrite(path.with_suffix(".tif"), codes, **options)
    return path.with_suffix(".tif")


def dng(path: Path, values: Floats, bits: int, black: int) -> Path:
    white = 2**bits - 1
    codes = np.clip(np.rint(black + values * (white - black)), 0, white).astype(np.uint16)
    tags = DngTags(black, white, (0.5, 1.0, 0.7), ((1e-4, 1e-6),) * 3, 400, 0.01, 2.8)
    write_dng(path.with_suffix(".dng"), codes, tags)
    return path.with_suffix(".dng")


def eight_bits(values: Floats) -> NDArray[np.uint8]:
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)


def colour(rng: np.random.Generator, size: int = 224) -> Floats:
    """A clean colour picture `(size, size, 3)`."""
    gray, tint = scene(rng, size, size), ndimage.gaussian_filter(rng.standard_normal((3, size, size)), (0, 30, 30))
    return np.clip(gray[..., None] * (1 + 2 * np.moveaxis(tint, 0, -1)), 0, 1)


# RAW ------------------------------------------------------------------------------------------------------------------


@picture
def sample(path: Path, rng: np.random.Generator) -> Path:
    """The file that ships with the repository."""
    return Path(shutil.copy(Path(__file__).parents[1] / "data" / "sample.dng", path.with_suffix(".dng")))


@picture
def raw_with_pedestal(path: Path, rng: np.random.Generator) -> Path:
    return dng(path, noisy(scene(rng, 320, 384), 4e-4, 2e-3, rng), 12, 256)


@picture
def raw_without_pedestal(path: Path, rng: np.random.Generator) -> Path:
    return dng(path, noisy(scene(rng, 256, 256, low=0.0, high=0.6), 2e-4, 3e-3, rng), 14, 0)


@picture
def raw_dark_with_rows(path: Path, rng: np.random.Generator) -> Path:
    values = noisy(scene(rng, 256, 256, low=0.0, high=0.05), 3e-4, 4e-3, rng)
    return dng(path, values + 2e-3 * rng.standard_normal((256, 1)), 12, 256)


@picture
def raw_planes_differ(path: Path, rng: np.random.Generator) -> Path:
    """The read noise of the red plane is ten times that of the others."""
    values = noisy(scene(rng, 512, 512), 1e-5, 2e-3, rng)
    values[::2, ::2] += 0.02 * rng.standard_normal((256, 256))
    return dng(path, values, 12, 256)


# Linear ---------------------------------------------------------------------------------------------------------------


@picture
def linear_unknown_offset(path: Path, rng: np.random.Generator) -> Path:
    return tiff(path, 0.05 + 0.5 * noisy(scene(rng), 2e-3, 5e-3, rng))


@picture
def linear_floats(path: Path, rng: np.random.Generator) -> Path:
    np.save(path.with_suffix(".npy"), noisy(scene(rng), 1e-3, 1e-2, rng).astype(np.float32))
    return path.with_suffix(".npy")


@picture
def flat(path: Path, rng: np.random.Generator) -> Path:
    return tiff(path, noisy(np.full((192, 192), 0.4), 2e-3, 8e-3, rng))


@picture
def flat_on_coarse_levels(path: Path, rng: np.random.Generator) -> Path:
    """Levels no finer than the noise: where the mean lies between two of them changes what rounding adds."""
    return tiff(path, 0.03 * np.rint(noisy(np.full((192, 192), 0.4), 0, 0.012, rng) / 0.03))


@picture
def flat_with_unknown_offset(path: Path, rng: np.random.Generator) -> Path:
    """Neither its gain nor its read noise is told."""
    return tiff(path, noisy(np.full((160, 160), 0.3), 0, 3e-3, rng))


@picture
def dark_with_rows_and_columns(path: Path, rng: np.random.Generator) -> Path:
    lines = 0.004 * rng.standard_normal((192, 1)) + 0.003 * rng.standard_normal((1, 192))
    return tiff(path, noisy(np.full((192, 192), 0.1), 0, 8e-3, rng) + lines)


@picture
def clipped(path: Path, rng: np.random.Generator) -> Path:
    return tiff(path, noisy(scene(rng, low=-0.1, high=1.3), 2e-3, 2e-2, rng))


@picture
def quantised(path: Path, rng: np.random.Generator) -> Path:
    return tiff(path, np.rint(noisy(scene(rng), 2e-3, 1e-2, rng) * 40) / 40)


@picture
def hidden_below_half_a_step(path: Path, rng: np.random.Generator) -> Path:
    return tiff(path, np.rint(noisy(scene(rng), 0, 5e-3, rng) * 60) / 60)


@picture
def impulses(path: Path, rng: np.random.Generator) -> Path:
    values = noisy(scene(rng), 1e-3, 8e-3, rng)
    struck = rng.random(values.shape) < 0.02
    return tiff(path, np.where(struck, rng.random(values.shape) < 0.5, values))


@picture
def correlated(path: Path, rng: np.random.Generator) -> Path:
    white = rng.standard_normal((192, 192))
    blurred = ndimage.gaussian_filter(white, 0.9)
    return tiff(path, scene(rng) + 0.03 * blurred / blurred.std())


@picture
def column_noise(path: Path, rng: np.random.Generator) -> Path:
    return tiff(path, noisy(scene(rng), 1e-3, 8e-3, rng) + 0.01 * rng.standard_normal((1, 192)))


@picture
def multiplicative(path: Path, rng: np.random.Generator) -> Path:
    return tiff(path, noisy(scene(rng), 0, 3e-3, rng) * rng.gamma(100, 1 / 100, (192, 192)))


@picture
def periodic(path: Path, rng: np.random.Generator) -> Path:
    wave = 0.008 * np.cos(2 * np.pi * np.arange(192) / 6)
    return tiff(path, noisy(scene(rng), 0, 1e-2, rng) + wave)


@picture
def nothing_but_content(path: Path, rng: np.random.Generator) -> Path:
    return tiff(path, scene(rng))


@picture
def stronger_than_any_camera(path: Path, rng: np.random.Generator) -> Path:
    """Read noise of a third of the range, in floats that do not clip."""
    np.save(path.with_suffix(".npy"), noisy(scene(rng), 0, 0.33, rng).astype(np.float32))
    return path.with_suffix(".npy")


@picture
def tiny(path: Path, rng: np.random.Generator) -> Path:
    np.save(path.with_suffix(".npy"), noisy(scene(rng, 24, 24), 0, 2e-2, rng).astype(np.float32))
    return path.with_suffix(".npy")


@picture
def stack(path: Path, rng: np.random.Generator) -> Path:
    clean = scene(rng, 96, 96)
    frames = np.stack([noisy(clean, 2e-3, 4e-3, rng) for _ in range(6)])
    return tiff(path, frames, 4095, imagej=True, metadata={"axes": "TYX"})


@picture
def channels_of_12_bits(path: Path, rng: np.random.Generator) -> Path:
    values = np.stack([noisy(scene(rng, 128, 128), shot, 4e-3, rng) for shot in (5e-4, 4e-3)])
    codes = np.clip(np.rint(values * 4095), 0, 4095).astype(np.uint16)
    names = {"axes": "CYX", "SignificantBits": 12, "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(path.with_suffix(".ome.tif"), codes, ome=True, metadata=names)
    return path.with_suffix(".ome.tif")


@picture
def fits_stars(path: Path, rng: np.random.Generator) -> Path:
    """A star field over a bright sky; astronomers' unsigned 16 bits, of which FITS knows nothing but an offset."""
    from astropy.io import fits

    y, x = np.mgrid[:160, :160]
    sky = 0.05 + 0.02 * x / 160
    for _ in range(30):
        row, column = rng.uniform(0, 160, 2)
        sky += rng.uniform(0.05, 0.6) * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 1.6**2))
    codes = np.rint(noisy(np.minimum(sky, 0.9), 2e-4, 2e-3, rng) * 64535 + 1000).astype(np.uint16)
    fits.PrimaryHDU(codes).writeto(path.with_suffix(".fits"))
    return path.with_suffix(".fits")


@picture
def outside_of_what_was_trained(path: Path, rng: np.random.Generator) -> Path:
    """A checkerboard under noise: content that is as fine as the pixels and stronger than any noise."""
    y, x = np.mgrid[:192, :192]
    return tiff(path, 0.5 + 0.3 * ((x + y) % 2 - 0.5) + 0.02 * rng.standard_normal((192, 192)))


# Rendered -------------------------------------------------------------------------------------------------------------


@picture
def unprocessed_gray_png(path: Path, rng: np.random.Generator) -> Path:
    Image.fromarray(eight_bits(noisy(scene(rng), 2e-3, 1.5e-2, rng))).save(path.with_suffix(".png"))
    return path.with_suffix(".png")


@picture
def unprocessed_colour_png(path: Path, rng: np.random.Generator) -> Path:
    Image.fromarray(eight_bits(noisy(colour(rng), 1e-3, 2e-2, rng))).save(path.with_suffix(".png"))
    return path.with_suffix(".png")


@picture
def denoised_png(path: Path, rng: np.random.Generator) -> Path:
    smoothed = ndimage.median_filter(noisy(colour(rng), 2e-3, 4e-2, rng), (5, 5, 1))
    Image.fromarray(eight_bits(smoothed)).save(path.with_suffix(".png"))
    return path.with_suffix(".png")


@picture
def upscaled_png(path: Path, rng: np.random.Generator) -> Path:
    small = Image.fromarray(eight_bits(noisy(colour(rng, 128), 1e-3, 3e-2, rng)))
    small.resize((256, 256), Image.Resampling.BICUBIC).save(path.with_suffix(".png"))
    return path.with_suffix(".png")


@picture
def jpeg_of_quality_90(path: Path, rng: np.random.Generator) -> Path:
    values = eight_bits(noisy(colour(rng, 300), 1e-3, 2e-2, rng))  # its tiles begin inside of blocks unless aligned
    Image.fromarray(values).save(path.with_suffix(".jpg"), quality=90)
    return path.with_suffix(".jpg")


@picture
def jpeg_of_quality_40_gray(path: Path, rng: np.random.Generator) -> Path:
    gray = ndimage.gaussian_filter(noisy(scene(rng, 310, 182), 2e-3, 3e-2, rng), 0.5)
    Image.fromarray(eight_bits(np.clip(gray, 0, 1) ** (1 / 1.8))).save(path.with_suffix(".jpg"), quality=40)
    return path.with_suffix(".jpg")


@picture
def jpeg_saved_twice(path: Path, rng: np.random.Generator) -> Path:
    first = path.with_suffix(".first.jpg")
    Image.fromarray(eight_bits(noisy(colour(rng), 2e-3, 3e-2, rng))).save(first, quality=50)
    with Image.open(first) as picture_:
        picture_.save(path.with_suffix(".jpg"), quality=92)
    return path.with_suffix(".jpg")
