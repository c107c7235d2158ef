"""The losses say what they are meant to say."""

import torch

from noisediag.cop.curve import CurvePass
from noisediag.genome import sensor
from noisediag.training.objectives import split_error
from noisediag.training.pictures import sensor_batch


def test_the_split_is_judged_on_the_scale_of_the_picture() -> None:
    generator = torch.Generator().manual_seed(4)
    noise = sensor.sample("mixture", 16, generator)
    batch = sensor_batch(torch.rand(16, 64, 64, generator=generator), noise, generator)
    assert (batch.pedestal > 0).any()
    # the true law about the picture's zero: S*(x - p) + O + M^2*(x - p)^2
    square = batch.noise.multiplicative.double().square()
    shot = batch.noise.shot_gain.double() - 2 * square * batch.pedestal
    law = torch.stack([shot, torch.zeros_like(shot), square], 1)
    unused = torch.zeros(16)
    result = CurvePass(law, *(unused,) * 13)
    assert split_error(result, batch).max() < 1e-5
