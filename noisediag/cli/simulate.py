"""`noisediag simulate`: a known footprint on a clean picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.common import Force, completing, errors_in_words, panel
from noisediag.errors import UsageError

# Those of genome.scenes, which loads torch.
SCENES = (
    *("photo", "leaves", "texture", "gradient", "line_art", "graphic", "fluorescence", "glow", "stars"),
    *("tissue", "anatomy", "retina", "satellite", "fabric", "underwater", "grain", "flat"),
    *("weave", "halftone", "ground", "wood", "lace", "fur", "aerial", "cortex", "ink", "crowd"),
)


_noise = panel("Noise (0: absent), normalised to white - black")
_file = panel("Scene and file")
Scene = Annotated[
    str | None,
    _file(help=f"Instead of CLEAN: {', '.join(SCENES)}.", metavar="KIND", autocompletion=completing(SCENES)),
]


def simulate(
    noisy: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="What to write: .tif, .png or .dng (Bayer).")
    ],
    clean: Annotated[Path | None, typer.Argument(metavar="CLEAN", help="A clean picture; or use --scene.")] = None,
    footprint: Annotated[
        Path | None,
        _noise("--like", metavar="REPORT.json", help="Noise as in a report."),
    ] = None,
    shot_gain: Annotated[float | None, _noise(help="S, 1/e-: shot variance is S * signal.")] = None,
    read_noise: Annotated[float | None, _noise(help="Standard deviation of the read noise.")] = None,
    multiplicative: Annotated[float | None, _noise(help="Standard deviation of a gain of mean 1.")] = None,
    impulse: Annotated[float | None, _noise(help="Share of pixels replaced by black or white.")] = None,
    salt_share: Annotated[float | None, _noise(help="White ones among the impulses; 0.5 unless given.")] = None,
    quantisation: Annotated[float | None, _noise(help="Step between adjacent levels.")] = None,
    row_noise: Annotated[float | None, _noise(help="Standard deviation of row offsets.")] = None,
    column_noise: Annotated[float | None, _noise(help="Standard deviation of column offsets.")] = None,
    correlation: Annotated[float | None, _noise(help="Width of the noise's kernel, px.")] = None,
    scene: Annotated[
        str | None,
        _file(help=f"Instead of CLEAN: {', '.join(SCENES)}.", metavar="KIND", autocompletion=completing(SCENES)),
    ] = None,
    size: Annotated[str, _file(help="Height and width of the scene, px.", metavar="HxW")] = "512x512",
    exposure: Annotated[float, _file(help="Factor on the light before the noise.")] = 1.0,
    bit_depth: Annotated[int, _file(help="Bits of the file's codes, 8 to 16.")] = 16,
    black: Annotated[int, _file(help="Black level, DN.")] = 0,
    white: Annotated[int | None, _file(help="White level, DN; the largest code unless given.")] = None,
    frames: Annotated[int, _file(help="Frames of a stack (.tif): the same scene, noise of their own.")] = 1,
    drift: Annotated[float, _file(help="How far the scene moves from frame to frame, px.")] = 0.0,
    bleach: Annotated[float, _file(help="Share of the light that is gone in the last frame.")] = 0.0,
    seed: Annotated[int, _file(help="The same seed gives the same bytes.")] = 0,
    force: Force = False,
) -> None:
    """Write a noisy picture, or a stack, with a known footprint; print its truth as JSON, also written beside it."""
    with errors_in_words():
        from dataclasses import replace

        from noisediag.reports.progress import Waiting
        from noisediag.studies import simulate as study

        given = {
            "shot_gain": shot_gain,
            "read_noise": read_noise,
            "multiplicative": multiplicative,
            "impulse": impulse,
            "salt_share": salt_share,
            "quantisation": quantisation,
            "row_noise": row_noise,
            "column_noise": column_noise,
            "correlation": correlation,
        }
        noise = study.NoiseOptions() if footprint is None else study.read_noise_options(footprint)
        options = study.SimulateOptions(
            output=noisy,
            clean=clean,
            scene=scene,
            size=_size(size),
            noise=replace(noise, **{name: value for name, value in given.items() if value is not None}),
            seed=seed,
            bit_depth=bit_depth,
            black_dn=black,
            white_dn=white,
            exposure=exposure,
            frames=frames,
            drift_px=drift,
            bleach=bleach,
            force=force,
        )
        with Waiting("simulate"):
            truth = study.run(options)
        sys.stdout.write(truth.dumps())


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise UsageError(f"--size {text}: height and width as in 480x640") from None
    return height, width
