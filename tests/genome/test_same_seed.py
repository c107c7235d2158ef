"""The same seed draws the same pictures, cameras and noise as it did: what was measured and published can be redone.

A fingerprint is the mean, the standard deviation and the mean under a slope, which a changed order of draws moves far
beyond the rounding of another processor. Change these numbers only with a CHANGELOG entry.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisediag.genome import camera, rendered, scenes, sensor

TOLERANCE = 2e-4  # of signals in 0 to 1

SCENES: dict[str, tuple[float, float, float]] = {
    "photo": (0.42775, 0.23515, -0.03359),
    "leaves": (0.57326, 0.26667, -0.00174),
    "texture": (0.52965, 0.25469, -0.07078),
    "gradient": (0.60139, 0.38653, -0.16196),
    "line_art": (0.43370, 0.31023, 0.08034),
    "graphic": (0.49362, 0.38031, 0.02201),
    "fluorescence": (0.23113, 0.16818, -0.02382),
    "glow": (0.10825, 0.12803, -0.01227),
    "stars": (0.13150, 0.13243, -0.00036),
    "tissue": (0.54701, 0.14919, 0.01704),
    "anatomy": (0.49978, 0.21776, -0.02258),
    "retina": (0.34816, 0.13428, 0.01746),
    "satellite": (0.53209, 0.21574, 0.02882),
    "fabric": (0.40319, 0.14147, -0.00985),
    "underwater": (0.30427, 0.08721, 0.00953),
    "grain": (0.81641, 0.18671, -0.00673),
    "flat": (0.66116, 0.08687, 0.02395),
    "weave": (0.18986, 0.09979, -0.00728),
    "halftone": (0.54474, 0.25774, -0.02786),
    "ground": (0.43852, 0.18242, -0.02477),
    "wood": (0.62651, 0.13488, 0.03899),
    "lace": (0.24228, 0.18981, -0.05151),
    "fur": (0.40571, 0.16176, -0.05586),
    "aerial": (0.30859, 0.15365, 0.00996),
    "cortex": (0.57789, 0.37058, -0.02083),
    "ink": (0.78249, 0.25193, 0.02102),
    "crowd": (0.12522, 0.17711, -0.00666),
}
DEMOSAICED: dict[str, tuple[float, float, float]] = {
    "bilinear": (0.54250, 0.29392, -0.03770),
    "malvar": (0.54255, 0.29717, -0.03768),
    "edge_directed": (0.54218, 0.30014, -0.03754),
    "median": (0.54093, 0.29546, -0.03740),
    "constant_hue": (0.53127, 0.30661, -0.03591),
}
DENOISED: dict[str, tuple[float, float, float]] = {
    "gaussian": (0.49155, 0.31538, 0.06631),
    "bilateral": (0.49132, 0.32076, 0.06642),
    "non_local": (0.49173, 0.30140, 0.06641),
    "wavelet": (0.49215, 0.30186, 0.06573),
    "diffusion": (0.49106, 0.30829, 0.06623),
    "dct": (0.49150, 0.32855, 0.06639),
    "guided": (0.49135, 0.32624, 0.06624),
}
TONES: dict[str, tuple[float, float, float]] = {
    "srgb": (0.70892, 0.25714, -0.00754),
    "gamma": (0.69139, 0.26001, -0.01113),
    "filmic": (0.78714, 0.24385, 0.00912),
    "monotone": (0.66193, 0.31261, -0.03447),
    "log": (0.79249, 0.24467, 0.01025),
}
RENDERED: dict[int, tuple[float, float, float]] = {
    0: (0.77427, 0.07078, 0.00315),
    1: (0.35733, 0.23363, 0.01302),
    2: (0.33903, 0.33551, -0.00500),
    3: (0.35993, 0.07737, -0.00803),
    4: (0.37431, 0.05214, 0.00103),
    5: (0.59638, 0.16894, 0.04349),
    6: (0.33530, 0.04790, -0.00499),
    7: (0.19885, 0.25852, 0.00914),
}
PHONES: dict[int, tuple[float, float, float]] = {
    0: (0.70032, 0.23535, 0.00611),
    1: (0.09603, 0.09301, -0.00850),
    2: (0.39674, 0.18399, 0.01639),
    3: (0.36859, 0.26008, -0.00056),
    4: (0.68936, 0.26093, -0.04130),
    5: (0.54675, 0.21985, 0.00642),
}
SENSOR: dict[str, tuple[float, float, float]] = {
    "clean": (0.31723, 0.24012, -0.07378),
    "gaussian": (0.31785, 0.24023, -0.07370),
    "poisson-gauss": (0.31612, 0.24301, -0.07340),
    "mixture": (0.31447, 0.24545, -0.07421),
    "raw": (0.31707, 0.24016, -0.07374),
    "wide": (0.31697, 0.24323, -0.07391),
}
VARIED = (0.48471, 0.29183, 0.04898)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fingerprint(values: Tensor) -> tuple[float, float, float]:
    flat = values.double().flatten()
    slope = torch.linspace(-1, 1, len(flat), dtype=torch.float64)
    return float(flat.mean()), float(flat.std()), float((flat * slope).mean())


def colours() -> Tensor:
    """Two pictures (2, 3, 64, 64)."""
    return scenes.make(6, 64, generator(5)).unflatten(0, (2, 3))


def seen(mosaicked: str) -> Tensor:
    masks = camera.bayer_masks(64, 64, 1)
    return camera.DEMOSAICERS[mosaicked]((colours() * masks).sum(1), masks)


def cleaned(denoiser: str) -> Tensor:
    planes = colours()[:, 0]
    return camera.DENOISERS[denoiser](5 * planes + torch.randn(planes.shape, generator=generator(9)), 0.8) / 5


def photograph(seed: int) -> Tensor:
    """Codes / 255 of one random camera; those of seed 3 and 4 are held out."""
    random = generator(seed)
    return taken(rendered.sample_camera(random, held_out=seed in (3, 4)), random)


def phone_picture(seed: int) -> Tensor:
    """Codes / 255 of one random camera of the second kind; seeds 3 and 4 have one stage each that is held out."""
    random = generator(seed)
    return taken(rendered.sample_phone(random, held_out={3: "local_tone", 4: "codec"}.get(seed)), random)


def taken(settings: rendered.Camera, random: torch.Generator) -> Tensor:
    side = rendered.scene_px(settings, 48)
    scene = rendered.colourise(scenes.make(3, max(side, 32), random)[:, None, :side, :side], random)
    return rendered.render(scene, settings, 48, random)[0] / 255


def noisy(law: str) -> Tensor:
    random = generator(2)
    clean = scenes.make(4, 64, random)
    return sensor.corrupt(clean, sensor.sample(law, 4, random), random, container_step=1 / 65535).image


def test_scenes() -> None:
    for kind, expected in SCENES.items():
        found = fingerprint(scenes.make(3, 64, generator(1), kinds=(kind,)))
        assert found == pytest.approx(expected, abs=TOLERANCE), kind
    assert tuple(SCENES) == scenes.KINDS
    assert fingerprint(scenes.vary(scenes.make(8, 64, generator(3)), generator(4))) == pytest.approx(
        VARIED, abs=TOLERANCE
    )


def test_stages_of_the_camera() -> None:
    for name, expected in DEMOSAICED.items():
        assert fingerprint(seen(name)) == pytest.approx(expected, abs=TOLERANCE), name
    for name, expected in DENOISED.items():
        assert fingerprint(cleaned(name)) == pytest.approx(expected, abs=TOLERANCE), name
    for name, expected in TONES.items():
        shape = torch.rand(6, generator=generator(7))
        assert fingerprint(camera.TONES[name](colours(), shape)) == pytest.approx(expected, abs=TOLERANCE), name
    assert [*DEMOSAICED, *DENOISED, *TONES] == [*camera.DEMOSAICERS, *camera.DENOISERS, *camera.TONES]


def test_rendered_pictures() -> None:
    for seed, expected in RENDERED.items():
        # Coefficients that lie between two multiples of a JPEG step may round either way on another processor.
        assert fingerprint(photograph(seed)) == pytest.approx(expected, abs=5 * TOLERANCE), seed
    for seed, expected in PHONES.items():
        assert fingerprint(phone_picture(seed)) == pytest.approx(expected, abs=5 * TOLERANCE), seed


def test_sensor_noise() -> None:
    for law, expected in SENSOR.items():
        assert fingerprint(noisy(law)) == pytest.approx(expected, abs=TOLERANCE), law
    assert tuple(SENSOR) == sensor.LAWS
