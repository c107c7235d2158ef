"""Further denoisers, and ways to let their strength follow the picture. Noise has a standard deviation of about 1.

`SMOOTHERS` are not drawn for cameras of the first kind (`genome.cameras.sample_camera`), whose pictures stay the same.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome.camera.compression import BLOCK, dct_of_block
from noisediag.genome.camera.denoising import DENOISERS, Denoiser, neighbours, patch_mean
from noisediag.genome.camera.planes import median_of_9

HAAR_LEVELS = 3
LEAST_PX = 16


def denoise_median(planes: Tensor, strength: float) -> Tensor:
    """The median of 3x3 pixels, a share `strength` of it, twice from 1 on."""
    smooth = torch.lerp(planes, median_of_9(planes), min(strength, 1.0))
    if strength > 1:
        smooth = torch.lerp(smooth, median_of_9(smooth), min(strength - 1, 1.0))
    return smooth


def denoise_shrinkage(planes: Tensor, strength: float) -> Tensor:
    """Undecimated Haar transform on three scales; each detail keeps the share that its surroundings do not owe noise.

    The empirical Wiener rule of Mihcak et al. 1999: flat places lose all detail, textured ones nearly none.
    """
    smooth, result = planes, torch.zeros_like(planes)
    for level in range(HAAR_LEVELS):
        gap = 2**level
        noise = 0.25 / 4**level  # variance of a detail of white unit noise
        across = torch.cat([smooth[..., gap:], smooth[..., -gap:].flip(-1)], -1)
        down = torch.cat([smooth[..., gap:, :], smooth[..., -gap:, :].flip(-2)], -2)
        both = torch.cat([down[..., gap:], down[..., -gap:].flip(-1)], -1)
        average = (smooth + across + down + both) / 4
        first, second = smooth + across - down - both, smooth - across + down - both
        for detail in (first / 4, second / 4, (smooth - across - down + both) / 4):
            energy = patch_mean(detail.square())
            result = result + detail * (1 - strength * noise / energy.clamp(min=1e-9)).clamp(min=0)
        smooth = average
    return result + smooth


def denoise_wiener(planes: Tensor, strength: float) -> Tensor:
    """DCT of 8x8 blocks on two grids: a hard threshold, then Wiener shrinkage by what that left (Dabov et al. 2007)."""
    pilot = DENOISERS["dct"](planes, strength)
    height, width = planes.shape[-2:]
    lines, total = dct_of_block(planes.device), torch.zeros_like(planes)
    for shift in (2, 6):
        down, across = shift + (-height - shift) % BLOCK, shift + (-width - shift) % BLOCK
        spectra = []
        for values in (planes, pilot):
            padded = functional.pad(values[:, None], (shift, across - shift, shift, down - shift), mode="reflect")[:, 0]
            rows, columns = padded.shape[-2] // BLOCK, padded.shape[-1] // BLOCK
            blocks = padded.reshape(-1, rows, BLOCK, columns, BLOCK).transpose(-3, -2)
            spectra.append(lines @ blocks @ lines.T)
        seen, signal = spectra[0], spectra[1].square()
        kept = seen * signal / (signal + strength**2).clamp(min=1e-9)
        kept[..., 0, 0] = seen[..., 0, 0]
        back = (lines.T @ kept @ lines).transpose(-3, -2).reshape(padded.shape)
        total += back[..., shift : shift + height, shift : shift + width]
    return total / 2


SMOOTHERS: dict[str, Denoiser] = {
    "median": denoise_median,
    "shrinkage": denoise_shrinkage,
    "wiener": denoise_wiener,
}


def by_activity(noisy: Tensor, cleaned: Tensor, kept: float) -> Tensor:
    """`cleaned` (N, C, H, W), with a share of what was taken given back where its luma is textured.

    The share rises from 0 in flat parts to `kept` where detail is several times the noise: smoothing that spares
    texture.
    """
    bright = cleaned.mean(1)
    activity = (bright - patch_mean(patch_mean(bright))).square()
    activity = patch_mean(patch_mean(activity))
    return torch.lerp(cleaned, noisy, (kept * activity / (activity + 1))[:, None])


def smoothed_chroma(chroma: Tensor, side_px: int, remove: Callable[[Tensor], Tensor]) -> Tensor:
    """`remove` noise from `chroma` (N, C, H, W) at a size `side_px` times smaller, and enlarge again.

    At least LEAST_PX a side are left. White noise keeps its standard deviation on the way down, so that a denoiser
    means the same at every size.
    """
    height, width = chroma.shape[-2:]
    while side_px > 1 and min(height, width) < LEAST_PX * side_px:
        side_px //= 2
    small = chroma if side_px == 1 else side_px * functional.avg_pool2d(chroma, side_px, ceil_mode=True)
    cleaned = torch.stack([remove(plane) for plane in small.unbind(1)], 1)
    return cleaned if side_px == 1 else enlarged(cleaned, side_px, side_px)[..., :height, :width] / side_px


def denoise_by_luma(chroma: Tensor, bright: Tensor, strength: float) -> Tensor:
    """Mean of `chroma` (N, C, H, W) over 5x5 pixels of similar `bright` (N, H, W) (Petschnigg et al. 2004)."""
    total, weight = chroma.clone(), torch.ones_like(bright)
    places = zip(neighbours(chroma, 2), neighbours(bright, 2), strict=True)
    for (colour, _), (other, _) in places:
        similar = torch.exp(-0.5 * ((other - bright) / (1.5 * strength)).square())
        total += similar[:, None] * colour
        weight += similar
    return total / weight[:, None]


def subsampled_chroma(chroma: Tensor, down: int, across: int) -> Tensor:
    """`chroma` (N, C, H, W) as a means of `down` x `across` pixels holds it, enlarged again."""
    height, width = chroma.shape[-2:]
    small = functional.avg_pool2d(chroma, (down, across), ceil_mode=True)
    return enlarged(small, down, across)[..., :height, :width]


def enlarged(small: Tensor, down: int, across: int) -> Tensor:
    """`(N, C, H, W)` bilinearly to `down` times its height and `across` times its width."""
    size = [down * small.shape[-2], across * small.shape[-1]]
    return functional.interpolate(small, size, mode="bilinear", align_corners=False)
