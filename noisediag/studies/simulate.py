"""Noise of known size on a clean picture, written as TIFF, PNG or Bayer DNG, and the truth beside it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from noisediag import __version__
from noisediag.batch.folder import TRUTH_SUFFIX
from noisediag.errors import UnreadableError, UsageError
from noisediag.footprint.derived import MID_GREY, noise_profile
from noisediag.footprint.plane import CurvePoint, PlaneFootprint, VarianceLaw, counts_as_found
from noisediag.genome import scenes, sensor
from noisediag.genome.clean import NEUTRAL, mosaic, read_clean
from noisediag.genome.parameters import NAMES, PARAMETERS, parameter
from noisediag.images.dng_writing import DngTags, write_dng
from noisediag.reports import files
from noisediag.reports.reading import first_image

Floats = NDArray[np.float64]

SCHEMA = "noisediag.simulation/1"
FORMATS = (".tif", ".tiff", ".png", ".dng")
BIT_DEPTHS = range(8, 17)
SIDE_PX = range(16, 16385)
FRAMES = range(1, 1001)
COARSER = 1.5  # DN, from which a truth's step is quantisation
CURVE_SIGNALS = np.linspace(0.02, 1, 33)  # where the law is turned into a DNG NoiseProfile
BASE_ISO_GAIN = 1e-5  # 1/e-: a sensor of 100,000 electrons at ISO 100


@dataclass(frozen=True)
class NoiseOptions:
    """The noise to add, in the units of the parameter table; 0 is absent. `salt_share`: white ones among the
    impulses.
    """

    shot_gain: float = 0.0
    read_noise: float = 0.0
    multiplicative: float = 0.0
    impulse: float = 0.0
    salt_share: float = 0.5
    quantisation: float = 0.0
    row_noise: float = 0.0
    column_noise: float = 0.0
    correlation: float = 0.0


@dataclass(frozen=True)
class SimulateOptions:
    """What to write. Either `clean`, a file, or a procedural `scene` of `size` (height, width); `white_dn` None:
    2^bits - 1.

    `exposure` multiplies the light before the noise: what goes beyond white is clipped there. `frames` of the same
    scene with noise of their own, each `drift_px` further to the right, the last one darker by the share `bleach`.
    """

    output: Path | None = None  # None: nothing is written
    clean: Path | None = None
    scene: str | None = None
    size: tuple[int, int] = (512, 512)
    noise: NoiseOptions = NoiseOptions()
    seed: int = 0
    bit_depth: int = 16
    black_dn: int = 0
    white_dn: int | None = None
    exposure: float = 1.0
    frames: int = 1
    drift_px: float = 0.0
    bleach: float = 0.0
    force: bool = False


@dataclass(frozen=True)
class Simulation:
    """What was written, and its truth. `values` in the order of `NAMES`: impulses as the visible share that came about,
    quantisation as the step between the levels of the file."""

    options: SimulateOptions
    white_dn: int
    shape: tuple[int, ...]
    values: tuple[float, ...]
    noise_profile: tuple[float, float]
    picture: NDArray[np.unsignedinteger[Any]] = field(compare=False, repr=False)  # (H, W), (H, W, 3), (frames, H, W)

    @property
    def black_dn(self) -> int:
        """The level without light."""
        return self.options.black_dn

    @property
    def truth(self) -> dict[str, float]:
        """The values by name, in the units of the parameter table."""
        return dict(zip(NAMES, self.values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The truth as printed: `noisediag.simulation/1`."""
        options, span = self.options, self.white_dn - self.options.black_dn
        sigma = float(_law(dict(zip(NAMES, self.values, strict=True))).sigma(MID_GREY))
        return {
            "schema": SCHEMA,
            "noisediag": __version__,
            "path": None if options.output is None else str(options.output),
            "clean": None if options.clean is None else str(options.clean),
            "scene": options.scene,
            "shape": list(self.shape),
            "seed": options.seed,
            "exposure": options.exposure,
            "frames": options.frames,
            "drift_px": options.drift_px,
            "bleach": options.bleach,
            "bit_depth": options.bit_depth,
            "black_dn": options.black_dn,
            "white_dn": self.white_dn,
            "parameters": [
                {
                    "name": entry.name,
                    "symbol": entry.symbol,
                    "unit": entry.unit,
                    "value": _short(value),
                    "value_dn": _short(value * span) if entry.scales_with_dn else None,
                }
                for entry, value in zip(PARAMETERS, self.values, strict=True)
            ],
            "derived": {
                "sigma_at_18pct": _short(sigma),
                "dng_noise_profile": [[_short(value) for value in self.noise_profile]],  # pairs, as in a report
            },
        }

    def dumps(self) -> str:
        """The truth as JSON text, one line at the end."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def run(options: SimulateOptions, clean: Floats | None = None) -> Simulation:
    """Write the noisy file and, beside it, its truth, which is returned; the same options give the same bytes.

    `clean`: a signal (H, W) or (H, W, 3) in [0, 1] that is at hand, instead of a file or a scene.

    A DNG is an RGGB mosaic: row and column offsets run through the whole mosaic, while correlation acts within each
    colour plane, in pixels of that plane, as a plane is what an estimate looks at. A colour TIFF or PNG has three
    channels of independent noise. Raises UsageError for options that cannot be carried out and InputError for a clean
    picture that cannot be read.
    """
    white = _check(options, clean)
    generator = torch.Generator().manual_seed(options.seed)
    signal = (_signal(options, generator) if clean is None else np.clip(clean, 0, 1)) * options.exposure
    colour = signal.ndim == 3
    is_dng = options.output is not None and options.output.suffix.lower() == ".dng"
    if is_dng:
        signal = mosaic(signal)
    if colour and options.frames > 1:
        raise UsageError("--frames: a stack is gray, and the clean picture has colours")
    step = 1 / (white - options.black_dn)
    low = -options.black_dn * step
    frames, impulses = [], []
    for number in range(options.frames):
        stack = torch.from_numpy(np.atleast_3d(_moved(signal, options, number)).transpose(2, 0, 1).astype(np.float32))
        noisy = _corrupt(stack, options.noise, generator, low=low, step=step, bayer=is_dng)
        frames.append(np.rint(noisy.image.double().numpy() / step + options.black_dn))
        impulses.append(float(noisy.impulse_share.mean()))
    codes = np.concatenate(frames)
    values = {name: getattr(options.noise, name) for name in NAMES}
    values |= {"impulse": sum(impulses) / len(impulses), "quantisation": max(options.noise.quantisation, step)}
    profile = noise_profile([_planted(values, options, white)])
    one_byte = options.bit_depth == 8 and not is_dng
    container: NDArray[np.unsignedinteger[Any]] = codes.astype(np.uint8 if one_byte else np.uint16)
    coloured = len(container) == 3 and colour
    one = np.ascontiguousarray(container.transpose(1, 2, 0)) if coloured else container[0]
    picture = container if options.frames > 1 else one
    found = tuple(values[name] for name in NAMES)
    simulation = Simulation(options, white, picture.shape, found, profile, picture)
    if options.output is not None:
        with (
            files.replacing(truth_path(options.output), force=options.force) as beside,
            files.replacing(options.output, force=options.force) as part,
        ):
            _write(part, options.output.suffix.lower(), simulation, colour)
            beside.write_text(simulation.dumps(), encoding="utf-8")
    return simulation


def truth_path(output: Path) -> Path:
    """Where the truth of a simulated file stands."""
    return output.with_name(output.name + TRUTH_SUFFIX)


def _moved(signal: Floats, options: SimulateOptions, number: int) -> Floats:
    """Frame `number` of the scene: shifted to the right (bicubic, its border repeated), and bleached."""
    if number and options.drift_px:
        height, width = signal.shape
        at = (torch.arange(width, dtype=torch.float64) - number * options.drift_px) * 2 / (width - 1) - 1
        down = torch.linspace(-1, 1, height, dtype=torch.float64)
        grid = torch.stack([at.expand(height, width), down[:, None].expand(height, width)], dim=-1)
        picture = torch.from_numpy(np.ascontiguousarray(signal, np.float64))[None, None]
        moved = torch.nn.functional.grid_sample(
            picture, grid[None], mode="bicubic", padding_mode="border", align_corners=True
        )
        signal = moved[0, 0].clamp(0, float(signal.max())).numpy()
    return signal * (1 - options.bleach * number / max(options.frames - 1, 1))


def read_noise_options(report: Path) -> NoiseOptions:
    """The noise of the last plane of the first picture of a report, .json or .jsonl, or of a simulation's truth.

    Unknown values and noises that the report calls absent are left out. Raises UnreadableError for anything else.
    """
    image = first_image(report)
    try:
        return noise_of(image)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UnreadableError(f"{report}: is no noisediag report with an estimate in it") from error


def noise_of(image: dict[str, Any]) -> NoiseOptions:
    """The noise of one of the `images` of a report, or of a simulation's truth. Raises LookupErrors for others."""
    found = {entry["name"]: entry for entry in (image["planes"][-1] if "planes" in image else image)["parameters"]}
    values = {
        name: float(found[name]["value"])
        for name in NAMES
        if name in found and counts_as_found(found[name]["value"], found[name].get("present"))
    }
    if "planes" not in image and values.get("quantisation", 1.0) * (image["white_dn"] - image["black_dn"]) < COARSER:
        del values["quantisation"]  # the codes of that file, no noise of it
    return NoiseOptions(**values)


def _check(options: SimulateOptions, clean: Floats | None) -> int:
    """White in DN, once everything that can be refused before the work has been."""
    if sum(source is not None for source in (options.clean, options.scene, clean)) != 1:
        raise UsageError("a clean picture or --scene is needed, and not both")
    if options.scene is not None and options.scene not in scenes.KINDS:
        raise UsageError(f"no scene is called {options.scene!r}; there are: {', '.join(scenes.KINDS)}")
    suffix = "" if options.output is None else options.output.suffix.lower()
    if options.output is not None and suffix not in FORMATS:
        raise UsageError(f"{options.output}: the noisy file is one of {', '.join(FORMATS)}")
    if any(side not in SIDE_PX for side in options.size):
        raise UsageError(f"--size: sides of {SIDE_PX.start} to {SIDE_PX.stop - 1} pixels")
    if options.bit_depth not in BIT_DEPTHS:
        raise UsageError(f"--bit-depth: {BIT_DEPTHS.start} to {BIT_DEPTHS.stop - 1}, not {options.bit_depth}")
    white = 2**options.bit_depth - 1 if options.white_dn is None else options.white_dn
    if not 0 <= options.black_dn < white < 2**options.bit_depth:
        raise UsageError(f"0 <= black < white < 2^{options.bit_depth} does not hold for {options.black_dn} and {white}")
    if not (math.isfinite(options.exposure) and options.exposure > 0):
        raise UsageError("--exposure: a factor above 0")
    if options.frames not in FRAMES or (options.frames > 1 and suffix not in ("", ".tif", ".tiff")):
        raise UsageError(f"--frames: {FRAMES.start} to {FRAMES.stop - 1}, and a stack is a .tif")
    if not (math.isfinite(options.drift_px) and 0 <= options.bleach < 1):
        raise UsageError("--drift: pixels a frame; --bleach: a share of 0 to below 1")
    for entry in fields(options.noise):
        value = getattr(options.noise, entry.name)
        high = 1.0 if entry.name == "salt_share" else parameter(entry.name).high
        if not 0 <= value <= high:
            raise UsageError(f"--{entry.name.replace('_', '-')}: 0 to {high:g}, not {value:g}")
    if 0 < options.noise.quantisation < 1 / (white - options.black_dn):
        raise UsageError("--quantisation: finer than the steps of the file; leave it out or raise --bit-depth")
    sources = () if options.clean is None else (options.clean,)
    if options.output is not None:
        files.check(options.output, inputs=sources, force=options.force)
        files.check(truth_path(options.output), force=options.force)
    return white


def _signal(options: SimulateOptions, generator: torch.Generator) -> Floats:
    if options.clean is not None:
        return np.clip(read_clean(options.clean).signal, 0, 1)
    height, width = options.size
    scene = scenes.make(1, max(height, width), generator, kinds=(str(options.scene),))[0]
    return scene[:height, :width].double().numpy()


def _corrupt(
    clean: torch.Tensor, options: NoiseOptions, generator: torch.Generator, *, low: float, step: float, bayer: bool
) -> sensor.Noisy:
    """Noise on `clean` (channels, H, W), in codes of `step` that begin at `low`."""
    noise = _sensor_noise(options, len(clean))
    if not (bayer and options.correlation):
        return sensor.corrupt(clean, noise, generator, black_clip=low, container_step=step)
    # what belongs to a pixel of a colour plane first, then what runs through the mosaic: the simulator's own order
    zero = torch.zeros(len(clean))
    lines = replace(noise, shot_gain=zero, read_noise=zero, multiplicative=zero, correlation=zero)
    pixel = _sensor_noise(replace(options, impulse=0.0, quantisation=0.0, row_noise=0.0, column_noise=0.0), 4)
    planes = torch.stack([clean[0, row::2, column::2] for row in (0, 1) for column in (0, 1)])
    noisy = sensor.corrupt(planes, pixel, generator, black_clip=-math.inf, white_clip=math.inf).image
    whole = torch.empty_like(clean)
    for plane, (row, column) in zip(noisy, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
        whole[0, row::2, column::2] = plane
    return sensor.corrupt(whole, lines, generator, black_clip=low, container_step=step)


def _sensor_noise(options: NoiseOptions, n: int) -> sensor.SensorNoise:
    values = {entry.name: float(getattr(options, entry.name)) for entry in fields(options)}
    values["salt_share"] *= values["impulse"] > 0
    absent = {entry.name: torch.zeros(n) for entry in fields(sensor.SensorNoise)}
    return sensor.SensorNoise(**absent | {name: torch.full((n,), value) for name, value in values.items()})


def _law(values: dict[str, float]) -> VarianceLaw:
    floor = values["quantisation"] ** 2 / 12
    return VarianceLaw(values["shot_gain"], values["read_noise"] ** 2 + floor, values["multiplicative"] ** 2, floor)


def _planted(values: dict[str, float], options: SimulateOptions, white: int) -> PlaneFootprint:
    """The truth in the form of an estimate, so that both get their NoiseProfile from one rule."""
    law = _law(values)
    curve = tuple(CurvePoint(x, s, s, s) for x, s in zip(CURVE_SIGNALS.tolist(), law.sigma(CURVE_SIGNALS), strict=True))
    return PlaneFootprint(
        name="all",
        shape=options.size,
        bit_depth=options.bit_depth,
        black_dn=options.black_dn,
        white_dn=white,
        scale_source="file",
        curve=curve,
        law=law,
        parameters=(),
        signal_median=MID_GREY,
        effective_sigma=float(law.sigma(MID_GREY)),
    )


def _write(path: Path, suffix: str, simulation: Simulation, colour: bool) -> None:
    options, white, picture = simulation.options, simulation.white_dn, simulation.picture
    if suffix == ".dng":
        iso = 100 * max(options.noise.shot_gain / BASE_ISO_GAIN, 1)
        tags = DngTags(
            black_dn=options.black_dn,
            white_dn=white,
            neutral=NEUTRAL if colour else (1.0, 1.0, 1.0),
            noise_profile=(simulation.noise_profile,) * 3,
            iso=min(round(iso), 65535),
            exposure_s=0.01 * options.exposure,
            f_number=2.8,
        )
        write_dng(path, picture.astype(np.uint16), tags)
        return
    if suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(picture, level=6))
        return
    channels = picture.shape[2] if colour else 1
    declared = [(281, 3, channels, (white,) * channels if colour else white, True)]  # MaxSampleValue
    tifffile.imwrite(
        path, picture, photometric="rgb" if colour else "minisblack", metadata=None, software="noisediag",
        extratags=declared,
    )  # fmt: skip


def _short(value: float) -> float:
    return float(f"{value:.6g}")
