"""Intervals of a rendered picture's curve: by what is seen where the checkpoint tells how, else by two factors."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from noisediag import images
from noisediag.cop import checkpoint
from noisediag.cop.models import SensorModel
from noisediag.cop.rendered_interval import CURVES, INPUTS, SIDES, IntervalConfig, RenderedInterval
from noisediag.errors import CheckpointError
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def denoised() -> images.Image:
    """A ramp under strong noise after a median of 5 x 5 pixels, in 8 bits."""
    noisy = np.linspace(60, 200, 164)[None] + 12 * np.random.default_rng(0).standard_normal((164, 164))
    around = np.lib.stride_tricks.sliding_window_view(noisy, (5, 5))
    return images.from_array(np.rint(np.median(around, axis=(2, 3))).astype(np.uint8), domain="rendered")


@pytest.fixture(scope="module")
def plain() -> images.Image:
    """White noise on a ramp in colour, in 8 bits."""
    noisy = np.linspace(60, 200, 160)[None, :, None] + 6 * np.random.default_rng(1).standard_normal((160, 160, 3))
    return images.from_array(np.rint(noisy).astype(np.uint8))


@pytest.fixture
def estimator() -> Estimator:
    return Estimator(device="cpu")


def widths(footprint: Footprint) -> tuple[list[float], list[float]]:
    """Halves of the curve's interval, in logarithms, below and above."""
    points = footprint.curve
    return [math.log(p.sigma / p.low) for p in points], [math.log(p.high / p.sigma) for p in points]


def saying(*halves: float) -> RenderedInterval:
    """Half-widths that nothing changes: below and above of processed noise, and of the sensor model's."""
    network = RenderedInterval(IntervalConfig(INPUTS))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.straight.weight[:, : CURVES * SIDES] = -torch.eye(CURVES * SIDES)
        network.straight.bias.copy_(torch.tensor(halves).log())
    return network.eval()


@pytest.mark.parametrize(("side", "factor"), [(0, 2.0), (1, 3.0)])
def test_without_it_one_side_is_stretched_and_the_other_is_not(
    denoised: images.Image, estimator: Estimator, side: int, factor: float
) -> None:
    calibration = copy.deepcopy(dict(estimator.model.calibration))
    calibration["rendered"]["curve"] = [1.2, 1.4]
    estimator.model.calibration = calibration
    estimator.model.rendered_interval = None
    before = estimator.estimate(denoised)
    assert before["shot_gain"].flag == "rendered"
    calibration["rendered"]["curve"][side] *= factor
    old, new = widths(before), widths(estimator.estimate(denoised))
    assert new[side] == pytest.approx([factor * width for width in old[side]], rel=1e-3)
    assert new[1 - side] == pytest.approx(old[1 - side], rel=1e-6)


def test_a_processed_picture_has_the_halves_of_processed_noise(denoised: images.Image, estimator: Estimator) -> None:
    curve = estimator.estimate(denoised).curve
    estimator.model.rendered_interval = saying(0.1, 0.3, 0.5, 0.7)
    after = estimator.estimate(denoised)
    assert [p.sigma for p in after.curve] == [p.sigma for p in curve]
    below, above = widths(after)
    assert below == pytest.approx([0.1] * len(below), rel=1e-4)
    assert above == pytest.approx([0.3] * len(above), rel=1e-4)


def test_an_unprocessed_one_keeps_the_sensor_models_curve_with_halves_of_its_own(
    plain: images.Image, estimator: Estimator
) -> None:
    before = estimator.estimate(plain)
    assert before["read_noise"].flag != "rendered"
    estimator.model.rendered_interval = saying(0.1, 0.3, 0.5, 0.7)
    after = estimator.estimate(plain)
    for plane in after.planes:
        below, above = (
            [math.log(a / b) for a, b in pairs]
            for pairs in (
                [(p.sigma, p.low) for p in plane.curve],
                [(p.high, p.sigma) for p in plane.curve],
            )
        )
        assert below == pytest.approx([0.5] * len(below), rel=1e-4)
        assert above == pytest.approx([0.7] * len(above), rel=1e-4)
    assert [p.sigma for p in after.curve] == [p.sigma for p in before.curve]
    assert after["read_noise"] == before["read_noise"]


def test_a_lower_bound_of_nothing_stays_nothing(estimator: Estimator) -> None:
    codes = np.broadcast_to(np.linspace(20, 230, 96).astype(np.uint8), (96, 96)).copy()
    codes[:2] += 1
    picture = images.from_array(codes, domain="rendered")
    estimator.model.rendered_interval = None
    calibration = copy.deepcopy(dict(estimator.model.calibration))
    calibration["rendered"]["curve"] = [1.2, 1.4]  # what files without such a part hold
    estimator.model.calibration = calibration
    lows = [point.low for point in estimator.estimate(picture).curve]
    estimator.model.rendered_interval = saying(0.1, 0.3, 0.5, 0.7)
    assert [low == 0 for low in lows] == [point.low == 0 for point in estimator.estimate(picture).curve]
    assert 0 in lows


def test_halves_follow_what_is_seen(denoised: images.Image, estimator: Estimator) -> None:
    network = saying(0.1, 0.1, 0.1, 0.1)
    with torch.no_grad():
        network.straight.weight[:, CURVES * SIDES] = 0.2  # the logit of `processed`
    estimator.model.rendered_interval = network
    below, _ = widths(estimator.estimate(denoised))
    assert min(below) > 0.1


def test_checkpoints_hold_it_and_older_ones_do_not(tmp_path: Path) -> None:
    shipped = checkpoint.read(checkpoint.shipped("sensor"))
    model = SensorModel.load(shipped)
    model.rendered_interval = None
    header = {name: value for name, value in shipped.header.items() if name not in ("kind", "config", "calibration")}
    model.save(tmp_path / "old.safetensors", header)
    old = checkpoint.read(tmp_path / "old.safetensors")
    assert "rendered_interval" not in old.header["config"]
    assert SensorModel.load(old).rendered_interval is None

    model.rendered_interval = saying(0.1, 0.2, 0.3, 0.4)
    model.rendered_interval.stretch.copy_(torch.tensor([1.0, 1.5, 2.0, 2.5]))
    model.save(tmp_path / "new.safetensors", header)
    new = SensorModel.load(checkpoint.read(tmp_path / "new.safetensors")).rendered_interval
    assert new is not None
    made = new.widths(np.zeros((2, INPUTS)))
    assert made.shape == (2, CURVES, SIDES)
    assert made[0].ravel() == pytest.approx([0.1, 0.3, 0.6, 1.0], rel=1e-5)

    found = checkpoint.read(tmp_path / "new.safetensors")
    wrong = {**found.header["config"], "rendered_interval": {"inputs": 0}}
    with pytest.raises(CheckpointError, match="rendered_interval"):
        SensorModel.load(checkpoint.Checkpoint("x", "", {**found.header, "config": wrong}, found.tensors))


_NUMPY = """
import json, sys
import numpy as np
from noisediag.cop.rendered_interval import IntervalConfig, RenderedInterval
from noisediag.engine import name, torch
weights = dict(np.load(sys.argv[1]))
network = RenderedInterval(IntervalConfig(int(weights["mean"].shape[0])))
told = weights.pop("told")
network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
assert name() == "numpy" and "torch" not in sys.modules
print(json.dumps(network.widths(told).tolist()))
"""


def test_numpy_gives_the_same_halves(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = RenderedInterval(IntervalConfig(INPUTS)).eval()
    told = np.random.default_rng(0).normal(0, 2, (4, 12, INPUTS))
    np.savez(tmp_path / "weights.npz", told=told, **{k: v.numpy() for k, v in network.state_dict().items()})
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NOISEDIAG_ENGINE": "numpy"}
    command = [sys.executable, "-c", _NUMPY, str(tmp_path / "weights.npz")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert np.allclose(json.loads(done.stdout), network.widths(told), rtol=1e-5)
