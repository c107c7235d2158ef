"""Small pictures of every kind that users bring, made of numpy alone, and what the shipped model says of them.

`python tests/golden/pictures.py [NAME...]` writes the answers anew, into the JSON files beside this one: to be done
where a change is meant to move them, and the difference is then read and stands in the commit. It prints what changed.

The scenes and the noise are drawn here, not by `noisediag.genome`, so that a change of the simulator moves nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from noisediag import images
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint
from noisediag.images.dng_writing import DngTags, write_dng
from noisediag.images.image import Image

Floats = NDArray[np.float64]

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "data" / "sample.dng"
FULL = 65535
DIGITS = 5  # significant ones that are stored; the tolerance is a hundred times as wide
WIDTH = 120  # of a line in the JSON files

# A picture is `make(folder, generator)`: an image read from a file written into `folder`, and what else is known of it.
Made = tuple[Image, dict[str, float]]
Make = Callable[[Path, np.random.Generator], Made]
PICTURES: dict[str, Make] = {}


def picture(make: Make) -> Make:
    """Register `make` under its name."""
    PICTURES[make.__name__] = make
    return make


def made(name: str, folder: Path) -> Made:
    """The picture called `name`; the same one whichever others are made."""
    return PICTURES[name](folder, np.random.default_rng(list(name.encode())))


# Scenes and noise, all normalised: black 0, white 1.


def scene(rng: np.random.Generator, height: int, width: int, low: float = 0.05, high: float = 0.85) -> Floats:
    """Sky, hills and a dozen flat or striped discs: smooth areas, edges and a little texture."""
    down, across = np.mgrid[:height, :width]
    light = 0.8 - 0.4 * down / height + 0.05 * np.sin(across / 23)
    light[down > height * (0.6 + 0.08 * np.sin(across / 31))] *= 0.4
    for _ in range(12):
        row, column, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.03, 0.14) * height
        inside = np.hypot(down - row, across - column) < radius
        level, stripes = rng.uniform(0, 1), rng.uniform(-0.1, 0.1)
        light[inside] = level + stripes * np.sin(across[inside] / rng.uniform(1.5, 6))
    light = np.clip(light, 0, 1)
    return low + (high - low) * light


def sensed(clean: Floats, rng: np.random.Generator, shot: float = 0.0, read: float = 0.0) -> Floats:
    """`clean` with shot noise of `shot` a electron and Gaussian read noise."""
    light = shot * rng.poisson(clean / shot) if shot > 0 else clean
    return light + read * rng.standard_normal(clean.shape)


def codes(values: Floats, top: int = FULL, black: int = 0) -> NDArray[np.uint16]:
    """Whole codes of 0..`top` for normalised `values`."""
    return np.clip(np.rint(black + (top - black) * values), 0, top).astype(np.uint16)


def blurred(values: Floats, width: float) -> Floats:
    """`values` under the kernel exp(-d^2 / (2 width^2)) of unit sum, along the first two axes, periodically."""
    for axis in (0, 1):
        size = values.shape[axis]
        distance = np.minimum(np.arange(size), size - np.arange(size))
        line = np.exp(-0.5 * (distance / width) ** 2)
        shape = [1] * values.ndim
        shape[axis] = size
        response = np.fft.fft(line / line.sum()).reshape(shape)
        values = np.real(np.fft.ifft(np.fft.fft(values, axis=axis) * response, axis=axis))
    return values


# RAW files


def dng(folder: Path, mosaic: NDArray[np.uint16], black: int, white: int) -> Image:
    path = folder / "picture.dng"
    write_dng(path, mosaic, DngTags(black, white, (0.6, 1.0, 0.7), ((1e-4, 1e-6),) * 3, 100, 0.01, 2.8))
    return images.read(path)


@picture
def sample(folder: Path, rng: np.random.Generator) -> Made:
    return images.read(SAMPLE), {}


@picture
def raw_bayer(folder: Path, rng: np.random.Generator) -> Made:
    noisy = sensed(scene(rng, 256, 320, high=0.6), rng, shot=2e-4, read=3e-3) + 1.5e-3 * rng.standard_normal((256, 1))
    return dng(folder, codes(noisy, 4095, 256), 256, 4095), {}


@picture
def raw_without_pedestal(folder: Path, rng: np.random.Generator) -> Made:
    """Half of it so dark that black cuts the noise, and a white level below the highest code that 14 bits hold."""
    clean = scene(rng, 256, 256, high=0.5)
    clean[:128] *= 0.03
    return dng(folder, codes(sensed(clean, rng, shot=4e-4, read=4e-3), 15000), 0, 15000), {}


@picture
def raw_of_unlike_colours(folder: Path, rng: np.random.Generator) -> Made:
    """Blue has ten times the shot noise of the others: no value holds for the file."""
    clean = scene(rng, 320, 320)
    noisy = sensed(clean, rng, shot=3e-4, read=2e-3)
    noisy[1::2, 1::2] = sensed(clean, rng, shot=3e-3, read=2e-3)[1::2, 1::2]
    return dng(folder, codes(noisy, 4095, 128), 128, 4095), {}


# Linear data


def tiff(folder: Path, pixels: NDArray[Any], **levels: float) -> Image:
    path = folder / "picture.tif"
    tifffile.imwrite(path, pixels)
    return images.read(path, **levels)  # type: ignore[arg-type]


@picture
def linear_16_bit(folder: Path, rng: np.random.Generator) -> Made:
    return tiff(folder, codes(sensed(scene(rng, 256, 256), rng, shot=1e-3, read=4e-3)), black=0, white=FULL), {}


@picture
def linear_large(folder: Path, rng: np.random.Generator) -> Made:
    """Several tiles, wider than high."""
    return tiff(folder, codes(sensed(scene(rng, 300, 520), rng, shot=4e-3, read=6e-3)), black=0, white=FULL), {}


@picture
def floats(folder: Path, rng: np.random.Generator) -> Made:
    path = folder / "picture.npy"
    np.save(path, sensed(scene(rng, 192, 256), rng, shot=2e-3, read=1e-2).astype(np.float32))
    return images.read(path, black=0, white=1), {}


@picture
def unknown_offset(folder: Path, rng: np.random.Generator) -> Made:
    return tiff(folder, codes(0.02 + sensed(scene(rng, 224, 224), rng, shot=1e-3, read=4e-3))), {}


@picture
def unknown_offset_of_a_flat(folder: Path, rng: np.random.Generator) -> Made:
    return tiff(folder, codes(0.3 + 3e-3 * rng.standard_normal((192, 192)))), {}


@picture
def given_gain(folder: Path, rng: np.random.Generator) -> Made:
    image = tiff(folder, codes(sensed(scene(rng, 192, 192), rng, shot=1e-3, read=3e-3)), black=0, white=FULL)
    return image, {"gain": 1 / (1e-3 * FULL)}


@picture
def flat(folder: Path, rng: np.random.Generator) -> Made:
    return tiff(folder, codes(sensed(np.full((224, 224), 0.4), rng, shot=5e-4, read=3e-3)), black=0, white=FULL), {}


@picture
def dark_with_rows(folder: Path, rng: np.random.Generator) -> Made:
    dark = 8e-3 * rng.standard_normal((224, 256)) + 3e-3 * rng.standard_normal((224, 1))
    return tiff(folder, codes(dark, 4095, 300), black=300, white=4095), {}


@picture
def columns(folder: Path, rng: np.random.Generator) -> Made:
    noisy = sensed(scene(rng, 256, 224), rng, shot=5e-4, read=4e-3) + 6e-3 * rng.standard_normal(224)
    return tiff(folder, codes(noisy), black=0, white=FULL), {}


@picture
def clipped(folder: Path, rng: np.random.Generator) -> Made:
    """Overexposed: a fifth of it is at white."""
    clean = np.minimum(1.6 * scene(rng, 256, 256), 1.2)
    return tiff(folder, codes(sensed(clean, rng, shot=2e-3, read=1e-2)), black=0, white=FULL), {}


@picture
def tiny(folder: Path, rng: np.random.Generator) -> Made:
    return tiff(folder, codes(sensed(scene(rng, 40, 48), rng, shot=2e-3, read=6e-3)), black=0, white=FULL), {}


@picture
def quantised(folder: Path, rng: np.random.Generator) -> Made:
    noisy = np.clip(sensed(scene(rng, 256, 256), rng, shot=1e-3, read=1e-2), 0, 1)
    return tiff(folder, codes(0.03 * np.rint(noisy / 0.03)), black=0, white=FULL), {}


@picture
def quantised_flat(folder: Path, rng: np.random.Generator) -> Made:
    """Levels no finer than the noise: where the mean lies between two of them changes what rounding adds."""
    noisy = 0.4 + 0.012 * rng.standard_normal((256, 256))
    return tiff(folder, codes(0.03 * np.rint(noisy / 0.03)), black=0, white=FULL), {}


@picture
def hidden(folder: Path, rng: np.random.Generator) -> Made:
    """Noise below half a step, which hardly reaches the levels: it is noticed, and cannot be measured."""
    noisy = sensed(scene(rng, 256, 256), rng, shot=2.7e-4)
    return tiff(folder, codes(0.03 * np.rint(noisy / 0.03)), black=0, white=FULL), {}


@picture
def without_noise(folder: Path, rng: np.random.Generator) -> Made:
    return tiff(folder, codes(scene(rng, 192, 192), 1023), black=0, white=1023), {}


@picture
def impulses(folder: Path, rng: np.random.Generator) -> Made:
    noisy = sensed(scene(rng, 256, 256), rng, shot=1e-3, read=6e-3)
    chance = rng.random(noisy.shape)
    noisy[chance < 0.01] = 0
    noisy[chance > 0.985] = 1
    return tiff(folder, codes(noisy), black=0, white=FULL), {}


@picture
def correlated(folder: Path, rng: np.random.Generator) -> Made:
    clean = scene(rng, 256, 256)
    soft = blurred(rng.standard_normal(clean.shape), 0.9)
    return tiff(folder, codes(clean + np.sqrt(1e-3 * clean + 1e-4) * soft / soft.std()), black=0, white=FULL), {}


@picture
def stronger_than_any_camera(folder: Path, rng: np.random.Generator) -> Made:
    """Two electrons to white."""
    noisy = sensed(scene(rng, 256, 256, 0.2, 0.8), rng, shot=0.4)
    return tiff(folder, noisy.astype(np.float32), black=0, white=1), {}


@picture
def unlike_any_picture(folder: Path, rng: np.random.Generator) -> Made:
    """A chequerboard of single pixels in rings that breathe."""
    down, across = np.mgrid[:224, :224]
    board = 0.5 + 0.3 * (-1.0) ** (down + across) * np.cos(np.hypot(down - 112, across - 112) / 4)
    return tiff(folder, codes(sensed(board, rng, read=5e-3)), black=0, white=FULL), {}


@picture
def stack(folder: Path, rng: np.random.Generator) -> Made:
    clean = scene(rng, 96, 128)
    frames = np.stack([codes(0.01 + sensed(clean, rng, shot=1e-3, read=5e-3)) for _ in range(3)])
    path = folder / "picture.tif"
    tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "TYX"})
    return images.read(path), {}


@picture
def channels(folder: Path, rng: np.random.Generator) -> Made:
    """Two fluorescence channels of 12 bits with gains of their own."""
    planes = [codes(sensed(scene(rng, 128, 160), rng, shot=s, read=4e-3), 4095, 100) for s in (5e-4, 5e-3)]
    path = folder / "picture.ome.tif"
    metadata = {"axes": "CYX", "SignificantBits": 12, "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(path, np.stack(planes), metadata=metadata)
    return images.read(path), {}


@picture
def fits(folder: Path, rng: np.random.Generator) -> Made:
    """A star field over a bright sky."""
    from astropy.io import fits as astropy_fits

    down, across = np.mgrid[:192, :192]
    sky = 0.05 + 0.02 * across / 192
    for _ in range(40):
        row, column = rng.uniform(0, 192, 2)
        sky += rng.uniform(0.05, 0.6) * np.exp(-0.5 * ((down - row) ** 2 + (across - column) ** 2) / 1.6**2)
    path = folder / "picture.fits"
    astropy_fits.PrimaryHDU(codes(sensed(np.minimum(sky, 0.9), rng, shot=2e-4, read=2e-3), FULL, 1000)).writeto(path)
    return images.read(path, black=1000), {}


# Rendered pictures: codes of 8 bits


def coloured(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A scene in three colours, `(height, width, 3)`."""
    light = scene(rng, height, width)
    return np.stack([light**power for power in (0.9, 1.0, 1.2)], -1)


def developed(rng: np.random.Generator, height: int, width: int, read: float = 0.02) -> Floats:
    """A noisy colour picture as cameras render it: soft, with a tone curve."""
    noisy = sensed(coloured(rng, height, width), rng, shot=2e-3, read=read)
    return np.clip(blurred(noisy, 0.45), 0, 1) ** (1 / 1.8)


def save(folder: Path, values: Floats, name: str = "picture.png", **options: Any) -> Image:
    path = folder / name
    Pillow.fromarray(codes(values, 255).astype(np.uint8)).save(path, **options)
    return images.read(path)


@picture
def png_gray(folder: Path, rng: np.random.Generator) -> Made:
    return save(folder, sensed(scene(rng, 256, 256), rng, shot=1e-3, read=1e-2)), {}


@picture
def png_colour(folder: Path, rng: np.random.Generator) -> Made:
    return save(folder, sensed(coloured(rng, 160, 200), rng, shot=1e-3, read=1e-2)), {}


@picture
def png_developed(folder: Path, rng: np.random.Generator) -> Made:
    return save(folder, developed(rng, 192, 192)), {}


@picture
def png_tiny(folder: Path, rng: np.random.Generator) -> Made:
    return save(folder, coloured(rng, 24, 40)), {}


@picture
def jpeg_95(folder: Path, rng: np.random.Generator) -> Made:
    return save(folder, developed(rng, 160, 160), "picture.jpg", quality=95, subsampling="4:4:4"), {}


@picture
def jpeg_75(folder: Path, rng: np.random.Generator) -> Made:
    """Tiles that would begin within a block of JPEG if they did not keep to them."""
    return save(folder, developed(rng, 182, 310), "picture.jpg", quality=75), {}


@picture
def jpeg_40_gray(folder: Path, rng: np.random.Generator) -> Made:
    gray = developed(rng, 310, 182).mean(-1)
    return save(folder, gray, "picture.jpg", quality=40), {}


@picture
def resaved(folder: Path, rng: np.random.Generator) -> Made:
    """Compressed, cut and compressed again."""
    save(folder, developed(rng, 232, 232), "first.jpg", quality=60, subsampling="4:4:4")
    with Pillow.open(folder / "first.jpg") as first:
        first.crop((3, 5, 227, 229)).save(folder / "picture.jpg", quality=95, subsampling="4:4:4")
    return images.read(folder / "picture.jpg"), {}


@picture
def denoised(folder: Path, rng: np.random.Generator) -> Made:
    """A median of 5 x 5 pixels, the strongest of the simple denoisers."""
    noisy = sensed(coloured(rng, 196, 196), rng, shot=4e-3, read=0.02)
    around = np.lib.stride_tricks.sliding_window_view(noisy, (5, 5), axis=(0, 1))
    return save(folder, np.clip(np.median(around, axis=(-2, -1)), 0, 1) ** (1 / 1.8)), {}


@picture
def upscaled(folder: Path, rng: np.random.Generator) -> Made:
    small = Pillow.fromarray(codes(developed(rng, 112, 112), 255).astype(np.uint8))
    small.resize((200, 200), Pillow.Resampling.BILINEAR).save(folder / "picture.png")
    return images.read(folder / "picture.png"), {}


# Answers


def summary(image: Image) -> list[float]:
    """Mean and standard deviation of all codes: tells another picture from another answer."""
    values = np.concatenate([plane.load().ravel() for plane in image.planes]).astype(np.float64)
    return [float(values.mean()), float(values.std())]


def answer(estimator: Estimator, image: Image, known: dict[str, float]) -> dict[str, Any]:
    """Every number of the report, as short as can be: what stands in the JSON files."""
    footprint = estimator.estimate(image, **known)
    report = footprint.to_dict()
    assert footprint.checkpoint is not None
    return {
        "checkpoint": footprint.checkpoint.sha256,
        "picture": summary(image),
        "domain": report["domain"],
        "flags": report["flags"],
        "planes": [plane(one) for one in report["planes"]],
        "law": law(footprint),
        "derived": {key: value(one) for key, one in report["derived"].items()},
        "structure": {key: one for key, one in report["structure"].items() if key != "verdict"},
        "rendered": report["rendered"],
    }


def plane(report: dict[str, Any]) -> dict[str, Any]:
    """`curve`: signal, sigma, low, high; `parameters`: value, low, high, the same in DN, presence and flag."""
    kept = ("name", "channel", "frame", "shape", "bit_depth", "black_dn", "white_dn", "scale_source", "flags")
    columns = ("value", "low", "high", "value_dn", "low_dn", "high_dn", "present", "flag")
    return {
        **{key: report[key] for key in kept},
        "curve": [[point[key] for key in ("signal", "sigma", "low", "high")] for point in report["curve"]],
        "parameters": {one["name"]: [one[column] for column in columns] for one in report["parameters"]},
    }


def law(footprint: Footprint) -> list[float]:
    """The file's sigma between and beyond the points of its curve, from black to white."""
    return [footprint.sigma(x) for x in (0.0, 0.01, 0.1, 0.3, 0.6, 1.0)]


def value(derived: Any) -> Any:
    return [derived[key] for key in ("value", "low", "high")] if isinstance(derived, dict) else derived


def shown(content: Any, indent: int = 0) -> str:
    """JSON with a line for what fits into one."""
    line = json.dumps(rounded(content))
    if len(line) + indent <= WIDTH or not isinstance(content, dict | list):
        return line
    pad = " " * (indent + 1)
    if isinstance(content, dict):
        parts = [f"{pad}{json.dumps(key)}: {shown(one, indent + 1)}" for key, one in content.items()]
        return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + shown(one, indent + 1) for one in content) + "\n" + " " * indent + "]"


def rounded(content: Any) -> Any:
    if isinstance(content, float):
        return float(f"{content:.{DIGITS}g}")
    if isinstance(content, dict):
        return {key: rounded(one) for key, one in content.items()}
    return [rounded(one) for one in content] if isinstance(content, list) else content


def stored(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text("utf-8"))
    return content


# Comparison

RELATIVE = 1e-3
# What lies in -1..1 or is a length in px, and may be 0 by chance: absolute.
ABSOLUTE = 1e-3
BOUNDED = frozenset(
    "lag1_h lag1_v row_share column_share correlated_share periodic_share equivalent_blur_px processed denoised "
    "upscaled channel_correlation block_strength present".split()
)
DECIBELS = 0.01  # |d dB| = 8.7 |d ln|
STOPS = 0.002  # |d stops| = 1.4 |d ln|
OF_SIGMA = 0.01  # absolute tolerance of a signal, which may be that of black, in units of the noise there


def differences(new: Any, old: Any, place: str = "", key: str = "") -> Iterator[str]:
    """Where two answers differ beyond the tolerance; each a line."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from differences(new.get(name, "nothing"), old.get(name, "nothing"), f"{place}.{name}", name)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (mine, theirs) in enumerate(zip(new, old, strict=True)):
            part = ("signal", "sigma", "low", "high")[number] if key == "point" else key
            inner = "point" if key == "curve" and isinstance(theirs, list) else part
            if number == 6 and len(old) == 8:
                inner = "present"
            sigma = abs(old[1]) if key == "point" and number == 0 else 0.0
            if sigma and abs(mine - theirs) <= OF_SIGMA * sigma:
                continue
            yield from differences(mine, theirs, f"{place}[{number}]", inner)
    elif not alike(new, old, key):
        yield f"{place.lstrip('.')}: {new} instead of {old}"


def alike(new: Any, old: Any, key: str) -> bool:
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (new, old))
    if not numbers:
        return bool(new == old)
    absolute = ABSOLUTE if key in BOUNDED else DECIBELS if "_db_" in key else STOPS if "stops" in key else 0.0
    return bool(abs(new - old) <= max(RELATIVE * abs(old), absolute))


def main(names: list[str]) -> None:
    estimator = Estimator(device="cpu")
    for name in names or list(PICTURES):
        with tempfile.TemporaryDirectory() as folder:
            found = answer(estimator, *made(name, Path(folder)))
        path = HERE / f"{name}.json"
        changed = list(differences(found, stored(name))) if path.exists() else ["new"]
        path.write_text(shown(found) + "\n", "utf-8")
        sys.stdout.write(f"{name}: {len(changed)} changed\n" + "".join(f"  {line}\n" for line in changed))


if __name__ == "__main__":
    main(sys.argv[1:])
