"""Frames of one scene that do not show the gain they seem to show; `advise` is asked."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from noisediag.genome.painters.brushes import points
from noisediag.genome.traps.detectors import Counter, codes
from noisediag.genome.traps.files import Tiff
from noisediag.genome.traps.kinds.registry import kind
from noisediag.genome.traps.scenes import Scenes
from noisediag.genome.traps.truth import Trap, Truth

Floats = NDArray[np.float64]

LAST_DN = 65535


def _asked_of_frames(frames: NDArray[np.generic], truth: Truth) -> Trap:
    return Trap(Tiff(frames, axes="TYX"), (truth,), question="advise")


@kind
def advise_read_noise_only(scenes: Scenes, rng: Generator) -> Trap:
    """Frames of read noise alone, on an offset that drifts: there are no photons to count."""
    del scenes  # the shutter is closed
    drift = 0.1 * np.arange(6)[:, None, None]
    dark = 500 + drift + rng.uniform(3, 8) * rng.standard_normal((6, 128, 128))
    return _asked_of_frames(codes(dark, LAST_DN), Truth(no_electrons=True))


@kind
def advise_blinking(scenes: Scenes, rng: Generator) -> Trap:
    """Single molecules that blink: the scene changes in place from frame to frame, on an EMCCD."""
    del scenes  # molecules are points
    size, gain_dn = 96, 10.0
    molecules = rng.uniform(4, size - 4, (60, 2))
    frames = np.empty((8, size, size))
    for frame in frames:
        lit = rng.random(len(molecules)) < 0.3
        amplitudes = rng.uniform(150, 500, int(lit.sum()))
        light = 8 + ndimage.gaussian_filter(points(size, rng, molecules[lit], amplitudes).astype(np.float64), 1.3)
        electrons = rng.poisson(light)
        multiplied = np.where(electrons > 0, rng.gamma(np.maximum(electrons, 1), gain_dn), 0.0)
        frame[...] = 200 + multiplied + 4 * rng.standard_normal(light.shape)
    # Without its excess noise factor the detector shows twice its gain.
    return _asked_of_frames(codes(frames, LAST_DN), Truth(gain_dn=2 * gain_dn))


@kind
def advise_registered(scenes: Scenes, rng: Generator) -> Trap:
    """A two-photon movie after correction of motion by interpolation: neighbours share noise."""
    gain_dn = float(rng.uniform(40, 90))
    counter = Counter(gain_dn, 6 / gain_dn, 0.0)
    light = scenes.cells(rng, 0.5, 6, size_px=96)
    moved = [
        ndimage.shift(counter.frame(light, rng), rng.uniform(-0.5, 0.5, 2), order=1, mode="nearest") for _ in range(16)
    ]
    return _asked_of_frames(np.rint(moved).astype(np.int16), Truth(gain_dn=gain_dn))
