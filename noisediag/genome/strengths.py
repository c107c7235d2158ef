"""What the genome `paper` is told by."""

from __future__ import annotations

NAMES: tuple[str, ...] = ("gaussian", "salt_pepper", "poisson", "quantization", "anisotropic", "normal")
