"""Pictures with known trouble: what is planted is there, and the labels say so."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from noisediag.cop.doubt_head import LAWS, OTHER_LAWS_FROM, TROUBLES, DoubtConfig, DoubtHead
from noisediag.genome import sensor
from noisediag.training import doubts
from noisediag.training.doubts import NO_LABEL, DoubtSet, doubt_alarms
from noisediag.training.pictures import SensorBatch, sensor_batch

COUNT, SIDE = 12, 64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(**values: float) -> sensor.SensorNoise:
    return sensor.SensorNoise(
        **{f.name: torch.full((COUNT,), values.get(f.name, 0.0)) for f in fields(sensor.SensorNoise)}
    )


def flat(level: float = 0.5) -> Tensor:
    return torch.full((COUNT, SIDE, SIDE), level)


def trouble(**chosen: bool) -> doubts._Trouble:
    nothing = torch.zeros(COUNT, dtype=torch.bool)
    return doubts._Trouble(**{name: nothing | chosen.get(name, False) for name in ("uneven", "curved", "black")})


def planted(what: doubts._Trouble, level: float = 0.5, **values: float) -> tuple[SensorBatch, Tensor]:
    clean = flat(level)
    batch = sensor_batch(clean, noise(**values), seeded(), black_known=True)
    return doubts._troubled(batch, clean, what, 1, seeded(1))


def test_uneven_pictures_have_parts_with_other_noise() -> None:
    def contrast(image: Tensor) -> Tensor:
        """Of the noise of quarters: the strongest over the weakest, for every picture; each is known to 2 %."""
        quarters = image.unfold(1, SIDE // 2, SIDE // 2).unfold(2, SIDE // 2, SIDE // 2).std((-2, -1)).flatten(1)
        return quarters.amax(1) / quarters.amin(1)

    batch, factor = planted(trouble(uneven=True), read_noise=0.02)
    even, _ = planted(trouble(), read_noise=0.02)
    assert contrast(even.image).max() < 1.15
    assert contrast(batch.image).median() > 1.25
    assert (factor >= doubts.FACTORS[0] * 0.9).any()
    assert batch.sigma.mean() == pytest.approx(float(batch.image.flatten(1).std(1).mean()), rel=0.1)


def test_encoded_pictures_have_the_sigma_of_their_codes() -> None:
    batch, _ = planted(trouble(curved=True), level=0.2, read_noise=0.005)
    assert torch.allclose(batch.signal.mean(1), batch.image.mean((1, 2)), atol=3e-3)
    assert torch.allclose(batch.sigma.mean(1), batch.image.flatten(1).std(1), rtol=0.05)


def test_a_wrong_black_lifts_the_picture_and_is_not_told() -> None:
    batch, _ = planted(trouble(black=True), level=0.3, shot_gain=1e-3)
    assert (batch.pedestal > 0).all()
    assert not batch.free_intercept.any()
    assert torch.allclose(batch.signal.mean(1), batch.image.mean((1, 2)), atol=2e-3)
    shot = batch.noise.shot_gain * (batch.signal.mean(1) - batch.pedestal)
    assert torch.allclose(shot.sqrt(), batch.image.flatten(1).std(1), rtol=0.05)


def labels(what: doubts._Trouble, **values: float) -> tuple[Tensor, Tensor]:
    batch, factor = planted(what, **values)
    first = torch.arange(COUNT)
    batch = replace(batch, signal=batch.signal.clamp(min=0.05), scored=torch.ones_like(batch.scored))
    error, counted = torch.zeros(COUNT), torch.ones(COUNT, dtype=torch.bool)
    law = doubts._law_labels(batch, first, what, (SIDE, SIDE))
    return law, doubts._trouble_labels(batch, first, what, factor, error, counted)


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ({"shot_gain": 0.01}, "photon"),
        ({"read_noise": 0.02}, "additive"),
        ({"multiplicative": 0.5}, "speckle"),
    ],
)
def test_the_law_is_named_by_what_the_light_does(values: dict[str, float], law: str) -> None:
    law_label, trouble_label = labels(trouble(), **values)
    assert (law_label == LAWS.index(law)).all()
    assert (trouble_label == 0).all()


def test_two_laws_that_share_the_noise_have_no_label() -> None:
    law_label, _ = labels(trouble(), shot_gain=0.01, multiplicative=0.5)
    assert (law_label == NO_LABEL).all()


def test_each_trouble_is_labelled_as_itself() -> None:
    uneven = labels(trouble(uneven=True), read_noise=0.02)[1]
    assert (uneven[:, TROUBLES.index("uneven")] != 0).all()
    assert (uneven[:, TROUBLES.index("uneven")] == 1).any()
    black = labels(trouble(black=True), shot_gain=0.01)[1]
    assert (black[:, TROUBLES.index("black")] == 1).any()
    assert (black[:, TROUBLES.index("misfit")] == NO_LABEL).all()


def test_alarms_are_beyond_what_ordinary_pictures_reach() -> None:
    count, width = 400, 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = DoubtHead(DoubtConfig(width, width, width, hidden=8, bottleneck=2)).eval()
    inputs = torch.randn(3, count, width, generator=seeded())
    data = DoubtSet(
        *inputs,
        law=torch.zeros(count, dtype=torch.long),
        trouble=torch.zeros(count, len(TROUBLES), dtype=torch.long),
        ordinary=torch.ones(count, dtype=torch.bool),
    )
    alarms = doubt_alarms(head, data)
    assert set(alarms) == {*LAWS[OTHER_LAWS_FROM:], *TROUBLES}
    with torch.inference_mode():
        reading = head(*inputs)
    for i, name in enumerate(TROUBLES):
        assert (reading.trouble[:, i] > alarms[name]).float().mean() <= doubts.ALARM
