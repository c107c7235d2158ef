"""The genome `sensor`: how a camera's noise is drawn and added to a clean picture.

Signals are normalised: 0 is black, 1 is white. The variance of the pixel noise at clean signal x, before clipping, is
sigma2(x) = S*x + O + M^2*x^2 + q^2/12 with O = read_noise^2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome import correlation

LEAST_RHO = 0.4  # px; of a kernel that is one
VISIBLE = 2.0  # an impulse is visible where it lies farther than this many sigma from the clean signal


@dataclass(frozen=True)
class SensorNoise:
    """The noise of a batch of pictures; every field has shape (B,), float32, and 0 means absent.

    Units: `shot_gain` 1/e-; `correlation` px; `multiplicative`, `impulse`, `salt_share`, `white_read` fractions; the
    rest normalised.
    """

    shot_gain: Tensor
    read_noise: Tensor
    multiplicative: Tensor
    impulse: Tensor
    salt_share: Tensor  # of the impulses, the share that is white
    quantisation: Tensor
    row_noise: Tensor
    column_noise: Tensor
    correlation: Tensor
    white_read: Tensor  # of the read noise's variance, the share that joins after the correlation

    def __len__(self) -> int:
        return len(self.shot_gain)

    def variance(self, x: Tensor, *, quantised: bool = True) -> Tensor:
        """sigma2(x) of the pixel noise before clipping, (B, ...) as `x`; `quantised` False leaves out q^2/12."""
        shot, offset, square, step = (
            _like(term, x)
            for term in (self.shot_gain, self.read_noise**2, self.multiplicative**2, self.quantisation**2 / 12)
        )
        variance = torch.addcmul(offset, shot, x.clamp(min=0)).addcmul_(square, x.square())
        return variance.add_(step) if quantised else variance

    def sigma(self, x: Tensor, *, quantised: bool = True) -> Tensor:
        """Standard deviation of the pixel noise, see `variance`."""
        return self.variance(x, quantised=quantised).sqrt_()

    @property
    def late_variance(self) -> Tensor:
        """What of read_noise^2 joins after the correlation, (B,); 0 where there is none to come after."""
        return self.white_read * self.read_noise.square() * (self.correlation > 0)

    def to(self, device: torch.device | str) -> SensorNoise:
        return SensorNoise(*(value.to(device) for value in self._values()))

    def select(self, index: Tensor | slice) -> SensorNoise:
        """The pictures `index` of the batch: a slice, a mask (B,) or positions (n,)."""
        return SensorNoise(*(value[index] for value in self._values()))

    def _values(self) -> list[Tensor]:
        return [getattr(self, entry.name) for entry in fields(self)]


@dataclass(frozen=True)
class Noisy:
    """`image` (B, H, W) float32; `impulse_share` (B,): the realised share of pixels that an impulse visibly changed."""

    image: Tensor
    impulse_share: Tensor


@dataclass(frozen=True)
class _Recipe:
    """Independent draws of every parameter named in `ranges` (log-uniform; rho uniform); the others are absent.

    A parameter of `sometimes` is present with that probability. Redrawn until sigma(0.5) lies within `sigma_range`.
    """

    weight: float
    ranges: Mapping[str, tuple[float, float]]
    sometimes: Mapping[str, float] = field(default_factory=dict)
    sigma_range: tuple[float, float] = (0.0, math.inf)


_EXTRAS = ("multiplicative", "impulse", "quantisation", "row_noise", "column_noise", "correlation")
_HALF = dict.fromkeys(_EXTRAS, 0.5)
_WIDE_SIGMA = (2e-4, 0.3)

# The sets of the benchmark, and `wide`, which training draws from: a little wider than each of
# them, with a share of exposures as clean as RAW files are and a share over the full ranges of PARAMETERS.
_RECIPES: Mapping[str, tuple[_Recipe, ...]] = {
    "clean": (_Recipe(1, {}),),
    "gaussian": (_Recipe(1, {"read_noise": (1 / 255, 40 / 255)}),),
    "poisson-gauss": (_Recipe(1, {"shot_gain": (1e-3, 0.05), "read_noise": (2e-3, 0.03)}),),
    "mixture": (
        _Recipe(
            1,
            {
                "shot_gain": (5e-4, 0.05),
                "read_noise": (1e-3, 0.05),
                "multiplicative": (0.02, 0.3),
                "impulse": (1e-3, 0.1),
                "quantisation": (1 / 255, 0.06),
                "row_noise": (2e-3, 0.03),
                "column_noise": (2e-3, 0.03),
                "correlation": (0.5, 1.5),
            },
            _HALF,
            (0.004, 0.2),
        ),
    ),
    # What RAW files hold, for the calibration of their intervals.
    "raw": (
        _Recipe(
            1,
            {
                "shot_gain": (3e-6, 0.03),
                "read_noise": (1e-4, 0.02),
                "row_noise": (1e-5, 2e-3),
                "column_noise": (1e-5, 2e-3),
            },
            {"row_noise": 0.25, "column_noise": 0.25},
            _WIDE_SIGMA,
        ),
    ),
    "wide": (
        # Speckle of 1 to 40 looks, with a little read noise.
        _Recipe(
            0.05,
            {"multiplicative": (0.15, 1.0), "read_noise": (4e-4, 0.02), "correlation": (0.4, 1.5)},
            {"read_noise": 0.5, "correlation": 0.3},
        ),
        # Light blurred after it was counted, and white read noise.
        _Recipe(
            0.1,
            {
                "shot_gain": (2e-4, 0.1),
                "read_noise": (4e-4, 0.08),
                "correlation": (0.5, 1.8),
                "white_read": (0.8, 1),
                "quantisation": (2.0**-12, 0.01),
            },
            {"quantisation": 0.3},
            _WIDE_SIGMA,
        ),
        # Counted photons in few codes.
        _Recipe(
            0.04,
            {"shot_gain": (2e-3, 0.1), "read_noise": (3e-4, 0.02), "quantisation": (1 / 510, 1 / 100)},
            {"read_noise": 0.5},
            _WIDE_SIGMA,
        ),
        _Recipe(0.32, {"read_noise": (5e-4, 0.2)}, {}, _WIDE_SIGMA),
        _Recipe(0.36, {"shot_gain": (3e-4, 0.1), "read_noise": (7e-4, 0.06)}, {}, _WIDE_SIGMA),
        _Recipe(
            0.46,
            {
                "shot_gain": (2e-4, 0.1),
                "read_noise": (4e-4, 0.08),
                "multiplicative": (0.01, 0.4),
                "impulse": (3e-4, 0.2),
                "quantisation": (1 / 510, 0.08),
                "row_noise": (1e-3, 0.04),
                "column_noise": (1e-3, 0.04),
                "correlation": (0.4, 1.8),
                "white_read": (0, 1),
            },
            _HALF,
            (0.002, 0.25),
        ),
        _Recipe(
            0.04,
            {
                "shot_gain": (1e-6, 0.2),
                "read_noise": (1e-5, 0.2),
                "multiplicative": (1e-3, 0.5),
                "impulse": (1e-5, 0.3),
                "quantisation": (2.0**-16, 0.1),
                "row_noise": (1e-6, 0.05),
                "column_noise": (1e-6, 0.05),
                "correlation": (0.4, 2.0),
                "white_read": (0, 1),
            },
            _HALF,
            _WIDE_SIGMA,
        ),
        _Recipe(
            0.08,
            {
                "shot_gain": (1e-6, 1e-3),
                "read_noise": (1e-5, 3e-3),
                "multiplicative": (1e-3, 0.05),
                "impulse": (1e-5, 1e-3),
                "quantisation": (2.0**-16, 2e-3),
                "row_noise": (1e-6, 2e-3),
                "column_noise": (1e-6, 2e-3),
                "correlation": (0.4, 1.5),
            },
            {
                "multiplicative": 0.5,
                "impulse": 0.25,
                "quantisation": 0.25,
                "row_noise": 0.25,
                "column_noise": 0.25,
                "correlation": 0.25,
            },
            _WIDE_SIGMA,
        ),
    ),
}

LAWS: tuple[str, ...] = tuple(_RECIPES)


def near(noise: SensorNoise, log_spread: float, rho_spread: float, generator: torch.Generator) -> SensorNoise:
    """Noise that differs from `noise` a little: the logarithm of every parameter by `log_spread` (SD), the correlation
    by `rho_spread` px. What is absent stays absent, shares stay as they are.
    """
    moved = {}
    for entry in fields(noise):
        value = getattr(noise, entry.name)
        step = torch.randn(len(noise), generator=generator, device=generator.device)
        if entry.name == "correlation":
            moved[entry.name] = torch.where(value > 0, (value + rho_spread * step).clamp(min=LEAST_RHO), value)
        elif entry.name in ("salt_share", "white_read"):
            moved[entry.name] = value
        else:
            moved[entry.name] = value * (log_spread * step).exp()
    return SensorNoise(**moved)


def sample(law: str, n: int, generator: torch.Generator) -> SensorNoise:
    """Draw the noise of `n` pictures from one of `LAWS`, on the generator's device.

    Raises KeyError for a law that is not declared.
    """
    if law not in _RECIPES:
        raise KeyError(f"no noise law is called {law!r}; declared: {', '.join(LAWS)}")
    recipes = _RECIPES[law]
    weights = torch.tensor([float(recipe.weight) for recipe in recipes], device=generator.device)
    choice = torch.multinomial(weights, n, replacement=True, generator=generator)
    names = [entry.name for entry in fields(SensorNoise)]
    table = torch.zeros(len(names), n, device=generator.device)
    for number, recipe in enumerate(recipes):
        todo = (choice == number).nonzero().squeeze(1)
        while len(todo):  # redraw whole mixtures until sigma(0.5) is in range
            drawn = torch.stack([_draw(recipe, name, len(todo), generator) for name in names])
            table[:, todo] = drawn
            sigma = SensorNoise(*drawn).sigma(torch.full_like(drawn[0], 0.5))
            todo = todo[(sigma < recipe.sigma_range[0]) | (sigma > recipe.sigma_range[1])]
    noise = SensorNoise(*table)
    return SensorNoise(**{name: getattr(noise, name) for name in names} | {"salt_share": _salt(noise, generator)})


def _draw(recipe: _Recipe, name: str, n: int, generator: torch.Generator) -> Tensor:
    if name not in recipe.ranges:
        return torch.zeros(n, device=generator.device)
    low, high = recipe.ranges[name]
    u = torch.rand(n, generator=generator, device=generator.device)
    if name == "white_read":  # a sixth have none, and a sixth nothing else
        value = (low + (high - low) * (1.5 * u - 0.25)).clamp(0, 1)
    else:
        value = low + (high - low) * u if name == "correlation" else low * (high / low) ** u
    if name in recipe.sometimes:
        value = value * (torch.rand(n, generator=generator, device=generator.device) < recipe.sometimes[name])
    return value


def _salt(noise: SensorNoise, generator: torch.Generator) -> Tensor:
    share = torch.rand(len(noise), generator=generator, device=generator.device)
    return share * (noise.impulse > 0)


def corrupt(
    clean: Tensor,
    noise: SensorNoise,
    generator: torch.Generator,
    *,
    black_clip: Tensor | float = 0.0,
    white_clip: Tensor | float = 1.0,
    container_step: float | None = None,
) -> Noisy:
    """Add `noise` to `clean` (B, H, W), float32, normalised; all on the generator's device.

    Order: gain, shot, read, correlation, late read noise, row and column offsets, impulses, clip, and one quantisation.
    `black_clip` and `white_clip`, float or (B,): where the file cuts (`black_clip` is negative with a pedestal); codes
    count from `black_clip`. `container_step`: distance between the codes of the container, normalised; None: floats.
    """
    image = _light(clean, noise, generator)
    early = (noise.read_noise.square() - noise.late_variance).clamp(min=0).sqrt()
    _read(image, early, generator)
    correlated = _present(noise.correlation)
    if len(correlated):
        image[correlated] = _correlate(image[correlated], clean[correlated], noise.select(correlated), generator)
        _read(image, noise.late_variance.sqrt(), generator)
    count, height, width = clean.shape
    image += _like(noise.row_noise, clean) * _normal((count, height, 1), generator)
    image += _like(noise.column_noise, clean) * _normal((count, 1, width), generator)
    impulse_share = _impulses(image, clean, noise, generator)
    low, high = _like(black_clip, clean), _like(white_clip, clean)
    image = torch.minimum(torch.maximum(image, low), high)
    return Noisy(quantise(image, noise.quantisation, low, high, container_step), impulse_share)


def _read(image: Tensor, sigma: Tensor, generator: torch.Generator) -> None:
    """Add Gaussian noise of `sigma` (B,) to the pictures that have any, in place."""
    there = _present(sigma)
    image[there] = image[there].addcmul_(_like(sigma[there], image), _normal(image[there].shape, generator))


def _light(clean: Tensor, noise: SensorNoise, generator: torch.Generator) -> Tensor:
    """Gamma gain of mean 1 and SD M, then Poisson electrons of gain S: the variances M^2*x^2 and S*x add exactly."""
    image = clean.clone()
    gained = _present(noise.multiplicative)
    if len(gained):
        shape = _like(noise.multiplicative[gained] ** -2, clean).expand(-1, *clean.shape[1:]).contiguous()
        # the public torch.distributions.Gamma takes no generator
        image[gained] *= torch._standard_gamma(shape, generator=generator).div_(shape)
    shot = _present(noise.shot_gain)
    if len(shot):
        gain, light = _like(noise.shot_gain[shot], clean), image[shot]
        dark = light.clamp(max=0)  # below black there is no light to count; such a signal stays as it is
        image[shot] = torch.poisson((light - dark) / gain, generator=generator).mul_(gain).add_(dark)
    return image


def _correlate(image: Tensor, clean: Tensor, noise: SensorNoise, generator: torch.Generator) -> Tensor:
    """sigma(x) times the unit noise of `image` filtered by exp(-d^2/(2 rho^2)), d <= 4 rho, of unit energy.

    Beyond the border, and where sigma(x) is 0 so that the picture has no noise to give, the unit noise is Gaussian.
    """
    sigma = (noise.variance(clean, quantised=False) - _like(noise.late_variance, clean)).clamp_(min=0).sqrt_()
    kernel = _kernels(noise.correlation)
    reach = kernel.shape[-1] // 2
    count, height, width = clean.shape
    white = _normal((count, height + 2 * reach, width + 2 * reach), generator)
    inner = white[:, reach : reach + height, reach : reach + width]
    inner.copy_(torch.where(sigma > 0, (image - clean) / sigma, inner))
    filtered = functional.conv2d(white[None], kernel[:, None], groups=count)[0]
    return torch.addcmul(clean, sigma, filtered)


def _kernels(rho: Tensor) -> Tensor:
    """The kernels of `rho` (B,) px, each in the middle of zeros: (B, 2r+1, 2r+1)."""
    kernels = [correlation.kernel(value) for value in rho.tolist()]
    side = max(len(kernel) for kernel in kernels)
    stack = torch.zeros(len(kernels), side, side)
    for target, kernel in zip(stack, kernels, strict=True):
        inset = (side - len(kernel)) // 2
        target[inset : side - inset, inset : side - inset] = torch.from_numpy(kernel)
    return stack.to(rho.device)


def _impulses(image: Tensor, clean: Tensor, noise: SensorNoise, generator: torch.Generator) -> Tensor:
    """Replace pixels of `image`, in place, by black (0) or white (1); returns the visibly changed share (B,)."""
    share = torch.zeros_like(noise.impulse)
    hit = _present(noise.impulse)
    if not len(hit):
        return share
    some, truth = noise.select(hit), clean[hit]
    u = torch.rand(truth.shape, generator=generator, device=truth.device)
    struck = u < _like(some.impulse, u)
    value = (u < _like(some.impulse * some.salt_share, u)).float()
    image[hit] = torch.where(struck, value, image[hit])
    offsets = _like(some.row_noise**2 + some.column_noise**2, u)
    visible = (value - truth).square() > VISIBLE**2 * (some.variance(truth) + offsets)
    share[hit] = (struck & visible).float().mean((1, 2))
    return share


def quantise(image: Tensor, step: Tensor, low: Tensor, high: Tensor, container_step: float | None = None) -> Tensor:
    """Round once to the coarse step where there is one, else to the container, which also stores coarse levels."""
    coarse = _present(step)
    if len(coarse):
        q, base, top = _like(step[coarse], image), _pick(low, coarse), _pick(high, coarse)
        levels = ((top - base) / q + 1e-4).floor()  # no level above white; 1e-4: 255 steps of 1/255 do fit
        image[coarse] = torch.minimum(((image[coarse] - base) / q).round(), levels).mul_(q).add_(base)
    if container_step is None:
        return image
    return ((image - low) / container_step).round_().mul_(container_step).add_(low)


def _present(value: Tensor) -> Tensor:
    """Positions in the batch where a noise is there: rare steps are applied to those pictures only."""
    return (value > 0).nonzero().squeeze(1)


def _like(value: Tensor | float, x: Tensor) -> Tensor:
    """`value`, float or (B,), with as many dimensions as `x`, to broadcast over its trailing ones."""
    tensor = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    return tensor.reshape(-1, *(1,) * (x.ndim - 1))


def _pick(bound: Tensor, index: Tensor) -> Tensor:
    return bound if len(bound) == 1 else bound[index]


def _normal(shape: tuple[int, ...] | torch.Size, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
