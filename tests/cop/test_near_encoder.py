"""The encoder of near genomes: what it reads, before any training."""

import math
from pathlib import Path

import pytest
import torch

from noisediag.cop import checkpoint
from noisediag.cop.encoder import Encoder, EncoderConfig
from noisediag.cop.models import load_any_encoder, save_encoder
from noisediag.cop.near_encoder import (
    BLACK,
    FREQUENCIES,
    FREQUENCY_RANGE,
    LEVELS,
    WHITE,
    NearEncoder,
    NearEncoderConfig,
    near_evidence,
    spectrum,
)
from noisediag.cop.tokens import tokenize
from noisediag.errors import CheckpointError
from noisediag.genome import paper

SIDE = 64


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(side: int = SIDE) -> torch.Tensor:
    """A smooth picture (1, side, side) of all brightnesses from 0.1 to 0.9."""
    return torch.linspace(0.1, 0.9, side).repeat_interleave(side).reshape(1, side, side)


def under(side: int = SIDE, **strengths: float) -> torch.Tensor:
    """The ramp under the genome `paper`, all strengths but the given ones being 0."""
    values = torch.tensor([[strengths.get(name, 0.0) for name in paper.NAMES]])
    return paper.corrupt(ramp(side), values, seeded(1))


def white_by_level(picture: torch.Tensor) -> torch.Tensor:
    """Share of white pixels at each level of brightness."""
    seen = near_evidence(tokenize(picture[:, None], grids=1))
    total = (seen.level[..., None] * seen.share[:, :, None, : len(WHITE)]).sum(1)
    return total[0, :, 1] / seen.level.sum(1)[0]


def encoder() -> NearEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NearEncoder(NearEncoderConfig()).eval()


def test_whole_counts_turn_bright_places_white_and_salt_all_alike() -> None:
    inside = slice(2, LEVELS - 2)
    counts, salt = (white_by_level(under(256, **{name: 0.6}))[inside] for name in ("poisson", "salt_pepper"))
    brightness = torch.arange(LEVELS)[inside] / (LEVELS - 1)
    assert torch.allclose(counts, 1 - torch.exp(-paper.SCALE * 0.6 * brightness), atol=0.015)
    assert torch.allclose(salt, torch.full_like(salt, paper.SCALE * 0.6), atol=0.015)


def test_shares_count_the_pixels_of_a_block() -> None:
    picture = torch.full((1, 16, 16), 0.5)
    picture[0, :2, :8] = 1.0
    picture[0, 2, :4] = 0.0
    seen = near_evidence(tokenize(picture[:, None], grids=1))
    assert seen.share[0, 0, : len(WHITE)].tolist() == [0.25] * len(WHITE)
    assert seen.share[0, 0, len(WHITE) : len(WHITE) + len(BLACK)].tolist() == [0.0625] * len(BLACK)
    assert seen.share[0, 3, :-1].abs().max() == 0
    assert torch.allclose(seen.level.sum(-1), torch.ones(1, 4))


@pytest.mark.parametrize("step", [0.01, 0.03, 0.1])
def test_a_lattice_that_begins_at_black_is_a_peak_at_its_step(step: float) -> None:
    values = (torch.rand(1, 400, 64, generator=seeded(2)) / step).floor() * step
    real = spectrum(values)[0, :FREQUENCIES]
    low, high = (math.log(f) for f in FREQUENCY_RANGE)
    frequencies = torch.linspace(low, high, FREQUENCIES).exp()
    first = (frequencies * step - 1).abs() < 0.05
    assert real[first].max() > 0.9 * real.max()
    assert real[(frequencies * step > 0.3) & (frequencies * step < 0.7)].max() < 0.3 * real.max()


def test_pixels_at_the_ends_of_the_range_are_no_lattice() -> None:
    inside = 0.2 + 0.6 * torch.rand(1, 100, 64, generator=seeded(3))
    ends = torch.cat([inside, torch.ones(1, 50, 64), torch.zeros(1, 50, 64)], 1)
    assert torch.allclose(spectrum(ends), spectrum(inside), atol=1e-5)
    assert spectrum(torch.ones(1, 4, 64)).isfinite().all()


def test_places_have_the_dimensions_of_each_kind_of_genome() -> None:
    model = encoder()
    pictures = torch.cat([under(gaussian=0.3), ramp(), torch.zeros(1, SIDE, SIDE)])
    with torch.inference_mode():
        embedding = model(tokenize(pictures[:, None]))
        of_paper, of_sensor = model.locate(embedding), model.locate(embedding, 1)
    assert embedding.shape == (3, model.config.embedding)
    assert embedding.isfinite().all()
    assert of_paper.place.shape == of_paper.variance.shape == (3, 5)
    assert of_sensor.place.shape == of_sensor.variance.shape == (3, 12)
    assert of_paper.offset.shape == (3,)
    assert of_paper.variance.min() > 0


def test_bags_are_embedded_alike_alone_and_together() -> None:
    model = encoder()
    pictures = torch.cat([under(gaussian=0.3), under(quantization=0.5)])
    with torch.inference_mode():
        together = model(tokenize(pictures[:, None]))
        alone = torch.cat([model(tokenize(one[None, None])) for one in pictures])
    assert torch.allclose(together, alone, atol=1e-5)


def test_an_encoder_of_near_genomes_of_before_is_refused_and_not_read_without_its_places(tmp_path: Path) -> None:
    path = tmp_path / "before.safetensors"
    save_encoder(path, Encoder(EncoderConfig(near=True)), {})
    with pytest.raises(CheckpointError, match="train it anew"):
        load_any_encoder(checkpoint.read(path))
    save_encoder(path, Encoder(EncoderConfig()), {})
    assert isinstance(load_any_encoder(checkpoint.read(path)), Encoder)
