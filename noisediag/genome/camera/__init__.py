"""The stages of a simulated camera between sensor and file, on batches `(N, 3, H, W)` float32 in torch.

Each is a plain function of the picture and its own numbers; `genome.rendered` strings them together.
"""

from noisediag.genome.camera.compression import BLOCK, jpeg, jpeg_tables
from noisediag.genome.camera.denoising import DENOISERS, Denoiser, denoise_gaussian, denoise_guided
from noisediag.genome.camera.mosaic import DEMOSAICERS, Demosaic, bayer_masks, demosaic_malvar
from noisediag.genome.camera.planes import LUMA, blur, luma
from noisediag.genome.camera.tone import TONES, Tone, bend, resize, sharpen, tone_srgb

__all__ = [
    "BLOCK",
    "DEMOSAICERS",
    "DENOISERS",
    "LUMA",
    "TONES",
    "Demosaic",
    "Denoiser",
    "Tone",
    "bayer_masks",
    "bend",
    "blur",
    "demosaic_malvar",
    "denoise_gaussian",
    "denoise_guided",
    "jpeg",
    "jpeg_tables",
    "luma",
    "resize",
    "sharpen",
    "tone_srgb",
]
