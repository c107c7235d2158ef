"""What the shipped model says of small pictures of every kind has not moved: values, intervals, flags, all of it.

Numbers may differ by 0.1 %, flags and nulls not at all. The same pictures on other processors (plain, AVX2 and AVX-512
kernels, one thread and several) differ by less than 0.01 % because sums in float32 go in another order; an interval's
own width is tens of times 0.1 %, so that what this passes over changes nothing that a user would do.

`python tests/golden/pictures.py` writes the answers anew.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from noisediag.cop import checkpoint
from noisediag.estimator import DEFAULT_CHECKPOINT, Estimator
from noisediag.footprint.plane import FLAGS

spec = importlib.util.spec_from_file_location("golden_pictures", Path(__file__).parent / "pictures.py")
assert spec is not None
assert spec.loader is not None
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(device="cpu")


@pytest.mark.parametrize("name", golden.PICTURES)
def test_answers_have_not_moved(estimator: Estimator, name: str, tmp_path: Path) -> None:
    if name == "fits":
        pytest.importorskip("astropy")
    image, known = golden.made(name, tmp_path)
    before = golden.stored(name)
    assert before["checkpoint"] == estimator.checkpoint.sha256, "another model: write the answers anew"
    assert golden.summary(image) == pytest.approx(before["picture"], rel=1e-4), "another picture, not another answer"
    found = list(golden.differences(golden.answer(estimator, image, known), before))
    assert not found, "\n".join(found)


def test_every_answer_belongs_to_a_picture_and_the_shipped_model() -> None:
    stored = {path.stem for path in Path(__file__).parent.glob("*.json")}
    assert stored == set(golden.PICTURES)
    shipped = checkpoint.read(checkpoint.shipped(DEFAULT_CHECKPOINT)).sha256
    assert {golden.stored(name)["checkpoint"] for name in stored} == {shipped}


def test_the_pictures_show_every_flag() -> None:
    """What no picture shows, nothing here would miss."""
    shown: set[str | None] = set()
    for name in golden.PICTURES:
        answer = golden.stored(name)
        shown |= {*answer["flags"], *(estimate[-1] for p in answer["planes"] for estimate in p["parameters"].values())}
    assert shown == {*FLAGS, None}


def test_a_difference_beyond_the_tolerance_is_seen() -> None:
    before = golden.stored("raw_bayer")
    assert not list(golden.differences(before, before))
    estimate = before["planes"][-1]["parameters"]["row_noise"]
    for place, other in ((0, None), (1, 1.01 * estimate[1]), (2, 0.99 * estimate[2]), (6, 0.9), (7, "out_of_range")):
        after = golden.stored("raw_bayer")
        after["planes"][-1]["parameters"]["row_noise"][place] = other
        assert len(list(golden.differences(after, before))) == 1
    after = golden.stored("raw_bayer")
    after["planes"][0]["curve"][3][3] *= 1.01
    after["flags"] = ["clipped"]
    assert len(list(golden.differences(after, before))) == 2
