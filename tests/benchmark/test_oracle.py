import numpy as np
import torch

from noisediag.benchmark import oracle, scoring
from noisediag.genome import paper, scenes


def _lattice_peak(step: float, blur: float) -> list[float]:
    rng = np.random.default_rng(0)
    values = rng.uniform(0.1, 0.9, (128, 128))
    values = np.round(values / step) * step + blur * rng.standard_normal(values.shape)
    return oracle._lattice(np.clip(values, 0, 1))


def test_the_lattice_of_quantised_values_is_found_with_its_blur() -> None:
    log_frequency, step, blur, *_ = _lattice_peak(0.05, 0.004)
    strength = np.exp(-2 * (np.pi * 0.004 / 0.05) ** 2)
    trusted = strength / (strength + 0.03)
    assert np.isclose(log_frequency / trusted, np.log(20), rtol=0.01)
    assert np.isclose(step / trusted / 4, 0.05, rtol=0.01)
    assert np.isclose(blur / trusted, 0.004, rtol=0.1)


def test_anisotropic_noise_is_told_by_what_neighbours_share() -> None:
    generator = torch.Generator().manual_seed(0)
    strengths = torch.tensor([[0.1, 0.0, 0.0, 0.0, 0.4, 0.5]])
    clean = torch.full((1, 256, 256), 0.5)
    noisy = paper.corrupt(clean, strengths, generator)[0].numpy().astype(np.float64)
    found, *_ = oracle._correlation(noisy - 0.5, oracle._spread(noisy - 0.5))
    assert np.isclose(found, 0.25 * 0.4, rtol=0.1)


def test_tail_follows_the_normal_law() -> None:
    np.testing.assert_allclose(oracle._tail(np.array([-1.0, 0.0, 1.96, 3.0])), [0.8413, 0.5, 0.025, 0.00135], atol=3e-4)


def test_the_oracle_reads_strengths_of_pictures_it_was_not_shown() -> None:
    generator = torch.Generator().manual_seed(1)
    clean = scenes.make(40, 64, generator, kinds=("photo", "leaves", "gradient", "tissue"))
    shown, truth, picture = [], [], []
    for number, one in enumerate(clean):
        strengths = paper.sample(6, generator)
        noisy = paper.corrupt(one.expand(6, -1, -1).contiguous(), strengths, generator)
        shown += [oracle.features(one.numpy(), n.numpy()) for n in noisy]
        truth += list(strengths.double().numpy())
        picture += [number] * 6
    expected = np.array(truth)
    read = oracle.predict(np.array(shown), expected, np.array(picture), seed=0)
    assert read is not None
    assert scoring.r2(read, expected) > 0.5
    shuffled = np.random.default_rng(2).permutation(expected)
    nothing = oracle.predict(np.array(shown), shuffled, np.array(picture), seed=0)
    assert nothing is not None
    assert scoring.r2(nothing, shuffled) < 0.1


def test_few_cases_give_no_oracle() -> None:
    assert oracle.predict(np.zeros((50, 3)), np.zeros((50, 6)), np.arange(50), seed=0) is None
