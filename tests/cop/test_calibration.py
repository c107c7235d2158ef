"""Which calibration a picture gets: that of its own group, else that of all; none is an error."""

from types import SimpleNamespace

import pytest
import torch

from noisediag.cop.calibration import EVERYTHING, alarm_shift, factors, group, limit_shift
from noisediag.errors import CheckpointError


def answer(blocks: int = 2_000, span: float = 0.5, smooth: float = 0.9) -> SimpleNamespace:
    """What the calibration reads of a `SensorAnswer`."""
    signal = torch.tensor([[0.2, 0.2 + span / 2, 0.2 + span]])
    return SimpleNamespace(
        block_mean=torch.zeros(1, blocks), evidence=SimpleNamespace(signal=signal, smooth=torch.tensor([smooth]))
    )


CALIBRATION = {
    "intervals": {
        "curve": {
            EVERYTHING: (1.0, 2.0),
            "size1-span1-smooth1-lean0": (3.0, 4.0),
            "size1-span1-smooth0-lean0": (5.0, 6.0),
            "raw-size1": (7.0, 8.0),
        }
    },
    "limits": {"shot_gain": {EVERYTHING: 0.1, "size1-span1-smooth1-lean0": 0.3}},
    "alarms": {"shot_gain": 2.0},
}


def test_groups_tell_size_range_smoothness_and_darkness() -> None:
    kinds = {
        group(n, (0.0, middle * s, s), t)
        for n in (100, 2_000, 50_000)
        for s in (0.01, 0.5)
        for t in (0.1, 0.9)
        for middle in (0.05, 0.5)
    }
    assert len(kinds) == 24
    assert {group(n, (0.0, 0.2, 0.5), 0.9, raw=True) for n in (100, 2_000, 50_000)} == {
        "raw-size0",
        "raw-size1",
        "raw-size2",
    }


@pytest.mark.parametrize(
    ("seen", "raw", "expected"),
    [
        (answer(), False, (3.0, 4.0)),
        (answer(smooth=0.1), False, (5.0, 6.0)),
        (answer(), True, (7.0, 8.0)),
        (answer(blocks=100), False, (1.0, 2.0)),  # a group without factors of its own
    ],
)
def test_a_picture_gets_the_factors_of_its_own_group(seen: SimpleNamespace, raw: bool, expected: tuple) -> None:
    assert factors(CALIBRATION, "curve", seen, raw=raw) == expected


def test_limits_and_alarms_are_read_alike() -> None:
    assert limit_shift(CALIBRATION, "shot_gain", answer(), raw=False) == 0.3
    assert limit_shift(CALIBRATION, "shot_gain", answer(), raw=True) == 0.1
    assert alarm_shift(CALIBRATION, "shot_gain") == 2.0


def test_a_checkpoint_without_the_calibration_is_refused() -> None:
    for read in (factors, limit_shift):
        with pytest.raises(CheckpointError, match="no interval calibration for row_noise"):
            read(CALIBRATION, "row_noise", answer(), raw=False)
    with pytest.raises(CheckpointError, match="no false-alarm calibration for row_noise"):
        alarm_shift(CALIBRATION, "row_noise")
