"""A non-blind denoiser fed our sigma, scikit-image's and the true one: what the estimate costs in PSNR."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from noisediag import images
from noisediag.benchmark.baselines import wavelet_mad
from noisediag.errors import UsageError
from noisediag.estimator import Estimator
from noisediag.genome import scenes
from noisediag.genome.clean import read_clean
from noisediag.reports.denoisers import av1, encoded_sigma

restoration = pytest.importorskip("skimage.restoration")

DOMAINS = os.environ.get("NOISEDIAG_DOMAINS")  # a folder of clean pictures, a sub-folder a domain
PER_DOMAIN = int(os.environ.get("NOISEDIAG_DENOISE_PICTURES", "1"))
WITHIN_DB = 0.1


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    torch.set_num_threads(1)
    return Estimator(device="cpu")


def denoised_psnr(clean: np.ndarray, noisy: np.ndarray, sigma: float) -> float:
    """PSNR, dB, of non-local means told `sigma`, all of white 1."""
    out = restoration.denoise_nl_means(
        noisy, patch_size=5, patch_distance=5, h=0.8 * sigma, sigma=sigma, fast_mode=True
    )
    return float(-10 * np.log10(np.mean(np.square(np.clip(out, 0, 1) - clean))))


def lost_db(estimator: Estimator, clean: np.ndarray, sigma: float, seed: int) -> dict[str, float]:
    """PSNR below that of the true sigma: with noisediag's, and with scikit-image's."""
    noisy = clean + sigma * np.random.default_rng(seed).standard_normal(clean.shape)
    codes = np.rint(np.clip(noisy, 0, 1) * 65535).astype(np.uint16)
    noisy = codes / 65535
    ours = estimator.estimate(images.from_array(codes, black=0, white=65535)).derived.sigma_effective
    theirs = float(wavelet_mad(noisy)(np.zeros(1))[0])
    oracle = denoised_psnr(clean, noisy, sigma)
    return {name: oracle - denoised_psnr(clean, noisy, s) for name, s in (("ours", ours), ("theirs", theirs))}


def test_procedural_scenes(estimator: Estimator) -> None:
    generator = torch.Generator().manual_seed(11)
    pictures = scenes.make(6, 128, generator, kinds=("photo", "leaves", "texture", "satellite", "tissue", "underwater"))
    lost = [lost_db(estimator, clean.double().numpy(), 0.06, seed) for seed, clean in enumerate(pictures)]
    ours, theirs = (np.array([entry[name] for entry in lost]) for name in ("ours", "theirs"))
    assert np.abs(ours).mean() < WITHIN_DB
    assert np.abs(ours).mean() < np.abs(theirs).mean()


@pytest.mark.skipif(DOMAINS is None, reason="NOISEDIAG_DOMAINS names no folder of clean pictures")
def test_all_domains(estimator: Estimator, capsys: pytest.CaptureFixture[str]) -> None:
    means = {}
    for folder in sorted(path for path in Path(str(DOMAINS)).iterdir() if path.is_dir()):
        files = sorted(folder.glob("*.*"))[1::2][:PER_DOMAIN]
        lost = [lost_db(estimator, np.clip(read_clean(path).luma, 0, 1), 20 / 255, i) for i, path in enumerate(files)]
        means[folder.name] = {name: float(np.mean([entry[name] for entry in lost])) for name in ("ours", "theirs")}
    if PER_DOMAIN > 1:
        with capsys.disabled():
            print(*(f"\n{name:16} {v['ours']:+.3f} {v['theirs']:+.3f}" for name, v in means.items()))  # noqa: T201
    assert means
    assert max(abs(entry["ours"]) for entry in means.values()) < WITHIN_DB
    assert sum(entry["ours"] for entry in means.values()) < sum(entry["theirs"] for entry in means.values())


@pytest.fixture
def grainy() -> Callable[[float], np.ndarray]:
    def make(iso: float) -> np.ndarray:
        clean = scenes.make(1, 384, torch.Generator().manual_seed(2), kinds=("photo",))[0].double().numpy()
        clean = 0.05 + 0.9 * clean
        noise = np.random.default_rng(1).standard_normal(clean.shape)
        return np.rint(np.clip(clean + encoded_sigma(clean, iso, *clean.shape) * noise, 0, 1) * 255).astype(np.uint8)

    return make


def test_film_grain_is_found_again(estimator: Estimator, grainy: Callable[[float], np.ndarray]) -> None:
    """Within 15 % of the sigma that the encoder would add."""
    iso = 100_000.0
    footprint = estimator.estimate(images.from_array(grainy(iso), domain="rendered"))
    found = float(av1(footprint).split()[-1])
    signals = np.linspace(0.1, 0.9, 9)
    ratio = encoded_sigma(signals, found, 384, 384) / encoded_sigma(signals, iso, 384, 384)
    assert ratio == pytest.approx(np.ones(9), abs=0.15)
    linear = estimator.estimate(images.from_array(grainy(iso).astype(np.uint16), black=0, white=255))
    with pytest.raises(UsageError, match="rendered"):
        av1(linear)
