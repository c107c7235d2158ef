"""What the tests of several studies share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from noisediag.cop import few_shot_learning
from noisediag.studies.finetune import shots


@pytest.fixture(scope="module")
def quick_heads(sized) -> Iterator[None]:
    """What the networks say of a picture is worked out once; a head is searched for in fewer steps, on one thread.

    Several threads that wait for each other on matrices this small cost more than the work itself.
    """
    plain, threads = shots.describe, torch.get_num_threads()
    seen: dict[tuple, shots.Shot] = {}

    def once(load, row, estimator, known, encoder, *, full):
        key = (str(row.path), tuple(known), full, encoder is None)
        if key not in seen:
            seen[key] = plain(load, row, estimator, known, encoder, full=full)
        return replace(seen[key], row=row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shots, "describe", once)
        patch.setattr(
            few_shot_learning,
            "SEARCH_STEPS",
            sized(few_shot_learning.SEARCH_STEPS // 4, few_shot_learning.SEARCH_STEPS),
        )
        patch.setattr(few_shot_learning, "CHOICE_STEPS", sized(10, few_shot_learning.CHOICE_STEPS))
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)
