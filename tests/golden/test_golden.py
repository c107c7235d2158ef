"""Answers of the shipped model on small pictures of every kind, to the last number that a user reads.

`python tests/golden/test_golden.py` writes answers.json anew, after a change that is meant to move them; the
difference then shows in the commit. The tolerance covers other processors and versions of torch, libjpeg and SciPy,
whose sums round differently: 0.2 % of a number; flags, nulls and words are exact.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from noisediag import images
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint
from noisediag.footprint.plane import FLAGS
from noisediag.labels.bursts import with_repeats

_spec = importlib.util.spec_from_file_location("golden_pictures", Path(__file__).parent / "pictures.py")
assert _spec is not None
assert _spec.loader is not None
pictures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pictures)

ANSWERS = Path(__file__).parent / "answers.json"
RELATIVE, ABSOLUTE = 2e-3, 1e-7
LEFT_OUT = ("path", "sha256", "acquisition", "status", "files")
"""Of an image: where it lies and what its file says, which other tests look at."""


def answer(estimator: Estimator, name: str, folder: Path) -> dict[str, Any]:
    """Everything `estimate --json` says of the pixels of a picture, made in `folder`; tables as columns."""
    image = images.read(pictures.make(name, folder), **pictures.levels(name))
    footprint: Footprint = estimator.estimate(image)
    if image.frames > 1:
        footprint = with_repeats(footprint, image)
    return _compact({key: value for key, value in footprint.to_dict().items() if key not in LEFT_OUT})


def _compact(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _compact(entry) for key, entry in value.items() if key not in LEFT_OUT}
    if (
        isinstance(value, list)
        and value
        and isinstance(value[0], dict)
        and all(isinstance(e, dict) and e.keys() == value[0].keys() for e in value)
    ):
        return {key: _compact([entry[key] for entry in value]) for key in value[0]}  # a table: columns are shorter
    return [_compact(entry) for entry in value] if isinstance(value, list) else value


def differences(answer_: Any, golden: Any, place: str = "") -> list[str]:
    """Where two answers differ beyond the tolerance, as lines to read."""
    if isinstance(golden, dict) and isinstance(answer_, dict) and answer_.keys() == golden.keys():
        return [line for key in golden for line in differences(answer_[key], golden[key], f"{place}/{key}")]
    if isinstance(golden, list) and isinstance(answer_, list) and len(answer_) == len(golden):
        pairs = enumerate(zip(answer_, golden, strict=True))
        return [line for i, (a, g) in pairs for line in differences(a, g, f"{place}/{i}")]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (answer_, golden))
    if numbers and abs(answer_ - golden) <= ABSOLUTE + RELATIVE * abs(golden):
        return []
    return [] if not numbers and answer_ == golden else [f"{place}: {answer_!r}, golden {golden!r}"]


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator()


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ANSWERS.read_text())
    return found


def test_the_answers_are_those_of_the_shipped_model(estimator: Estimator, golden: dict[str, Any]) -> None:
    assert golden["checkpoint"] == estimator.checkpoint.sha256
    assert golden["images"].keys() == pictures.PICTURES.keys()


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_answer(name: str, estimator: Estimator, golden: dict[str, Any], tmp_path: Path) -> None:
    if name.startswith("fits"):
        pytest.importorskip("astropy")
    found = differences(answer(estimator, name, tmp_path), golden["images"][name])
    assert not found, "\n".join(found[:20])


def test_every_flag_is_seen(golden: dict[str, Any]) -> None:
    """The pictures together raise each flag of the closed list, so that none can fall silent unseen."""
    text = json.dumps(golden["images"])
    unseen = {"misfit", "black_doubtful", "saturation_measured", "smoothed", "uneven", "empty"}  # not raised yet
    assert [flag for flag in FLAGS if f'"{flag}"' not in text and flag not in unseen] == []


def test_a_changed_number_is_noticed(golden: dict[str, Any]) -> None:
    changed = json.loads(json.dumps(golden["images"]))
    changed["flat"]["planes"]["curve"][0]["sigma"][3] *= 1.01
    changed["tiny"]["flags"].append("clipped")
    assert len(differences(changed, golden["images"])) == 2


if __name__ == "__main__":
    model = Estimator()
    with tempfile.TemporaryDirectory() as folder:
        made = {name: answer(model, name, Path(folder)) for name in pictures.PICTURES}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in made.items())
    ANSWERS.write_text(f'{{"checkpoint": "{model.checkpoint.sha256}", "images": {{\n{lines}\n}}}}\n')
