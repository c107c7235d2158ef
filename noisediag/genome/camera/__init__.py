"""The stages of a simulated camera between sensor and file, on batches `(N, 3, H, W)` float32 in torch.

Each is a plain function of the picture and its own numbers; `genome.rendered` strings them together.
"""

from noisediag.genome.camera.compression import BLOCK, jpeg, jpeg_tables
from noisediag.genome.camera.denoising import DENOISERS, Denoiser, denoise_gaussian, denoise_guided
from noisediag.genome.camera.finishing import blur_energy, grain, lanczos, lanczos_weights, unsharp
from noisediag.genome.camera.heic import hevc
from noisediag.genome.camera.local_tone import LOCAL_TONES, LocalTone
from noisediag.genome.camera.merging import displaced, merge, moved_places
from noisediag.genome.camera.mosaic import DEMOSAICERS, Demosaic, bayer_masks, demosaic_malvar
from noisediag.genome.camera.planes import LUMA, blur, luma
from noisediag.genome.camera.smoothing import (
    SMOOTHERS,
    by_activity,
    denoise_by_luma,
    smoothed_chroma,
    subsampled_chroma,
)
from noisediag.genome.camera.tone import TONES, Tone, bend, resize, sharpen, tone_srgb

__all__ = [
    "BLOCK",
    "DEMOSAICERS",
    "DENOISERS",
    "LOCAL_TONES",
    "LUMA",
    "SMOOTHERS",
    "TONES",
    "Demosaic",
    "Denoiser",
    "LocalTone",
    "Tone",
    "bayer_masks",
    "bend",
    "blur",
    "blur_energy",
    "by_activity",
    "demosaic_malvar",
    "denoise_by_luma",
    "denoise_gaussian",
    "denoise_guided",
    "displaced",
    "grain",
    "hevc",
    "jpeg",
    "jpeg_tables",
    "lanczos",
    "lanczos_weights",
    "luma",
    "merge",
    "moved_places",
    "resize",
    "sharpen",
    "smoothed_chroma",
    "subsampled_chroma",
    "tone_srgb",
    "unsharp",
]
