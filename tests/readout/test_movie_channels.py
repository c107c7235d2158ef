"""A movie's colour differences and luma have a noise of their own each; the file's own is that of the luma."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noisediag.errors import UnsupportedError, UsageError
from noisediag.estimator import Estimator
from noisediag.images import read
from noisediag.labels.bursts import from_stack, with_repeats

SIGMAS = {"Y": 4.0, "Cb": 2.0, "Cr": 3.0}
HEIGHT, WIDTH, FRAMES = 192, 256, 3


def y4m(path: Path) -> Path:
    rng = np.random.default_rng(5)
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    data = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 Ip A1:1 C420jpeg\n".encode()
    for number in range(FRAMES):
        data += b"FRAME\n"
        for name, sigma in SIGMAS.items():
            part = 1 if name == "Y" else 2
            light = (
                120 + 50 * np.sin((across[::part, ::part] + 9 * number) / 60) + 20 * np.sin(down[::part, ::part] / 50)
            )
            data += np.rint(light + sigma * rng.standard_normal(light.shape)).clip(17, 234).astype(np.uint8).tobytes()
    path.write_bytes(data)
    return path


def test_the_noise_of_each_channel(tmp_path: Path) -> None:
    pytest.importorskip("av")
    image = read(y4m(tmp_path / "a.y4m"))
    estimator = Estimator(device="cpu")
    footprint = estimator.estimate(image)
    own = {plane.channel: plane for plane in footprint.planes if plane.name == "all"}
    assert list(own) == ["Cb", "Cr", "Y"]
    for channel, plane in own.items():
        assert plane.black_dn is not None
        assert plane.white_dn is not None
        assert plane.effective_sigma * (plane.white_dn - plane.black_dn) == pytest.approx(
            SIGMAS[str(channel)], rel=0.05
        )
    assert footprint.planes[-1].channel == "Y"
    assert footprint.rendered is not None
    assert [plane.name for plane in footprint.rendered.planes] == ["Cb", "Cr", "Y"]
    assert with_repeats(footprint, image) is footprint
    with pytest.raises(UnsupportedError, match="no repeats"):
        from_stack(image)
    with pytest.raises(UsageError, match="--channel"):
        estimator.sigma_map(image, footprint)
    luma = read(tmp_path / "a.y4m", channel="luma", frame=1)
    assert estimator.sigma_map(luma, estimator.estimate(luma)).shape == (HEIGHT, WIDTH)
