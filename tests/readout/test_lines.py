"""Row noise that the pixels show is found, whatever the model thinks of its presence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from noisediag import images
from noisediag.cop.heads import LEARNED
from noisediag.estimator import Estimator
from noisediag.readout import sensor
from noisediag.readout.tiles import plan

SAMPLE = Path(__file__).parents[1] / "data" / "sample.dng"
ROW_NOISE = 0.0015  # planted, see sample.json


def test_row_noise_on_the_pixels_is_found_although_the_model_doubts_it() -> None:
    estimator, image = Estimator(device="cpu"), images.read(SAMPLE)
    (part,) = plan(image)
    answers, _ = estimator._ask(part.bags)
    sceptical = answers[-1].reading.present.clone()
    sceptical[0, LEARNED.index("row_noise")] = -9.0
    answers[-1] = replace(answers[-1], reading=replace(answers[-1].reading, present=sceptical))
    nothing = (None,) * len(part.bags)
    _, whole = sensor.read_part(estimator.model, part, answers, image, None, nothing)
    found = whole["row_noise"]
    assert found.low is not None
    assert found.high is not None
    assert found.low <= ROW_NOISE <= found.high
    assert whole["column_noise"].value is None
