"""The genome `paper`: the synthetic law of arXiv 2601.17047, written anew from its description, for parity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome.strengths import NAMES as NAMES

UNIT = "strength"  # of all; they sum to 1

SCALE = 0.25  # of every strength but the Gaussian's
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # its outer product lowers the SD of white noise to 70/256 = 0.273


def sample(n: int, generator: torch.Generator) -> Tensor:
    """Strengths (n, 6) in the order of `NAMES`, on the generator's device: softmax of standard normals."""
    return torch.softmax(torch.randn(n, len(NAMES), generator=generator, device=generator.device), dim=1)


def corrupt(clean: Tensor, strengths: Tensor, generator: torch.Generator) -> Tensor:
    """Noisy pictures (B, H, W) in [0, 1] from `clean` (B, H, W) in [0, 1] and `strengths` (B, 6).

    The noises follow each other in the order of `NAMES`, with a clamp to [0, 1] after each; `normal` adds nothing.
    """
    s_gaussian, s_salt_pepper, s_poisson, s_quantization, s_anisotropic, _ = strengths.T[:, :, None, None]
    image = torch.addcmul(clean, s_gaussian, _normal(clean, generator)).clamp_(0, 1)
    u = _uniform(clean, generator)
    tail = SCALE * s_salt_pepper
    image = torch.where(u < tail, 0.0, torch.where(u >= 1 - tail, 1.0, image))
    # Whole counts, and after the clamp any count above zero is white: only P(count > 0) = 1 - exp(-rate) matters.
    image = torch.where(_uniform(clean, generator) < -torch.expm1(-SCALE * s_poisson * image), 1.0, image)
    u = _uniform(clean, generator)  # dither
    step = SCALE * s_quantization
    image = torch.where(step > 0, (image / step).add_(u).floor_().mul_(step), image).clamp_(0, 1)
    return image.add_(SCALE * s_anisotropic * _binomial(_normal(clean, generator))).clamp_(0, 1)


def _binomial(noise: Tensor) -> Tensor:
    """`noise` (B, H, W) filtered by the 5x5 binomial kernel of sum 1, zeros beyond the border."""
    line = noise.new_tensor(BINOMIAL)
    kernel = torch.outer(line, line).expand(len(noise), 1, -1, -1)
    return functional.conv2d(noise[None], kernel, padding=2, groups=len(noise))[0]


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=generator.device)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=generator.device)
