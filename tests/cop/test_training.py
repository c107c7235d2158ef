"""What is laid over what: exact scenes for faint noise, pictures of nothing but noise."""

from dataclasses import replace

import torch

from noisediag.cop.curve import CurvePass
from noisediag.cop.training import CleanPool, faint, is_pure, sensor_batch, split_error
from noisediag.genome import sensor


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_faint_noise_is_laid_over_exact_scenes_only() -> None:
    pool = CleanPool(torch.zeros(3, 64, 64), torch.ones(5, 64, 64), image_share=0.8)
    exact = torch.arange(400) % 2 == 0
    crops = pool.draw(400, 32, seeded(1), varied=False, exact=exact)
    image = crops.mean((1, 2)) > 0.5
    assert not image[exact].any()
    share = float(image[~exact].float().mean())
    assert abs(share - 0.8) < 4 * (0.8 * 0.2 / 200) ** 0.5
    noise = sensor.sample("clean", 2, seeded(2))
    assert faint(replace(noise, read_noise=torch.tensor([0.001, 0.01]))).tolist() == [True, False]


def test_only_flat_uncut_noise_alone_is_pure() -> None:
    flat = torch.full((5, 32, 32), 0.5)
    flat[1, 12:] = 0.7  # an edge
    flat[2] = 0.99  # too near to white
    noise = replace(sensor.sample("clean", 5, seeded(3)), read_noise=torch.tensor([0.01, 0.01, 0.01, 0.01, 0.0]))
    noise = replace(noise, row_noise=torch.tensor([0.0, 0.0, 0.0, 0.01, 0.0]))
    assert is_pure(flat, noise, torch.zeros(5)).tolist() == [True, False, False, False, False]


def test_the_split_is_judged_on_the_scale_of_the_picture() -> None:
    generator = seeded(4)
    noise = sensor.sample("mixture", 16, generator)
    batch = sensor_batch(torch.rand(16, 64, 64, generator=generator), noise, generator)
    assert (batch.pedestal > 0).any()
    # the true law about the picture's zero: S*(x - p) + O + M^2*(x - p)^2
    square = batch.noise.multiplicative.double().square()
    shot = batch.noise.shot_gain.double() - 2 * square * batch.pedestal
    law = torch.stack([shot, torch.zeros_like(shot), square], 1)
    unused = torch.zeros(16)
    result = CurvePass(law, *(unused,) * 11)
    assert split_error(result, batch).max() < 1e-5
