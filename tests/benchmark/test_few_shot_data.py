"""The pictures of `benchmark few-shot`, their files, and what the networks say of them once for all arms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from noisediag.benchmark.few_shot import data as few_shot_data
from noisediag.benchmark.few_shot import described as few_shot_described
from noisediag.benchmark.few_shot import evidence
from noisediag.benchmark.few_shot.described import Networks, described
from noisediag.benchmark.few_shot.formats import FORMATS, reader
from noisediag.cop import checkpoint
from noisediag.cop.models import load_any_encoder
from noisediag.cop.near_encoder import NearEncoder
from noisediag.estimator import Estimator
from noisediag.genome import paper
from noisediag.genome.cases import jobs, paper_case
from noisediag.genome.clean import pictures

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def networks(near: Path) -> Networks:
    return Networks(Estimator(device="cpu"), load_any_encoder(checkpoint.read(near)), "here")


def test_labels_are_the_same_in_every_arm() -> None:
    few, many = (few_shot_data.labelled(n, 1, None, None) for n in (10, 60))
    assert (many.codes[:10] == few.codes).all()
    assert torch.equal(many.strengths[:10], few.strengths)
    other = few_shot_data.labelled(10, 2, None, None)
    assert not torch.equal(other.strengths, few.strengths)
    one_by_one = list(few_shot_data.labelled_pictures(10, 1, None))
    assert (np.rint(one_by_one[3].channels[0].numpy() * 65535) == few.codes[3]).all()
    assert np.allclose(one_by_one[3].strengths, few.strengths[3])


def test_many_labelled_pictures_lie_in_a_file(tmp_path: Path, monkeypatch) -> None:
    inside = few_shot_data.labelled(60, 0, None, None)
    monkeypatch.setattr(few_shot_data, "IN_MEMORY", 20)
    outside = few_shot_data.labelled(60, 0, tmp_path, None)
    again = few_shot_data.labelled(60, 0, tmp_path, None)
    assert [p.name for p in tmp_path.iterdir()] == ["few-shot-60-0.npy"]
    assert (inside.codes == outside.codes).all()
    assert (again.codes == inside.codes).all()


def test_asked_pictures_are_those_of_the_other_benchmarks(domains: Path) -> None:
    asked = few_shot_data.EvaluationPictures(domains, "odd", 2, 5, None)
    found = list(asked)
    assert len(found) == len(asked) == 12
    made = jobs(("paper",), pictures(domains, split="odd", limit_per_domain=None), draws=2, scenes_=0, flats=0, raws=0)
    cases = [paper_case(job, draw, 5) for job in made for draw in job.draws]
    for one, case in zip(found, cases, strict=True):
        assert np.array_equal(one.channels[0].numpy(), case.noisy)
        assert np.allclose(one.strengths, case.strengths)
        assert one.levels is not None
        assert one.levels.sum() == 64 * 64


def test_three_channels_have_noise_of_their_own(domains: Path) -> None:
    asked = few_shot_data.EvaluationPictures(domains, "odd", 1, 0, 1, channels=3)
    for one in (*asked, next(iter(few_shot_data.labelled_pictures(3, 0, None, channels=3)))):
        assert one.channels.shape == (3, 64, 64)
        away = one.channels - one.channels.roll(1, 2)
        assert abs(float(torch.corrcoef(away[:2].flatten(1))[0, 1])) < 0.95
        assert not torch.equal(one.channels[0], one.channels[1])


def test_pure_kinds_are_alone() -> None:
    strengths = few_shot_data.draw_strengths(few_shot_data.PURE, 3000, torch.Generator().manual_seed(0))
    alone = strengths[:, :-1]
    assert ((alone > 0).sum(1) == 1).all()
    assert torch.allclose(strengths.sum(1), torch.ones(3000))
    low, high = few_shot_data.PURE_RANGE
    assert bool(((alone.amax(1) >= low) & (alone.amax(1) <= high)).all())
    counts = torch.bincount(alone.argmax(1), minlength=5)
    assert bool(((counts - 600).abs() < 5 * (3000 * 0.2 * 0.8) ** 0.5).all())


@pytest.mark.parametrize(
    ("name", "shape", "depth", "step"), [("png16", 1, 16, 65535), ("png8", 1, 8, 255), ("rgb8", 3, 8, 255)]
)
def test_files_hold_what_was_written(tmp_path: Path, name: str, shape: int, depth: int, step: int) -> None:
    channels = torch.rand(shape, 24, 32, generator=torch.Generator().manual_seed(0))
    image = reader(tmp_path, FORMATS[name])(channels)
    assert [plane.bit_depth for plane in image.planes] == [depth] * shape
    for plane, channel in zip(image.planes, channels, strict=True):
        assert np.array_equal(plane.load(), np.rint(channel.numpy() * step))


def test_jpeg_is_read_as_one(tmp_path: Path) -> None:
    image = reader(tmp_path, FORMATS["jpeg95"])(torch.rand(1, 32, 32))
    assert image.jpeg is not None
    assert len(image.planes) == 1


@pytest.mark.parametrize("name", ["png16", "rgb8"])
def test_pictures_are_described_as_finetune_describes_them(name: str, networks: Networks, tmp_path: Path) -> None:
    form = FORMATS[name]
    given = list(few_shot_data.labelled_pictures(3, 0, None, channels=form.channels))
    found = described(given, form, networks, folder=None, name="x")
    read = reader(tmp_path, form)
    for place, one in enumerate(given):
        alone = networks.estimator.describe(read(one.channels), encoder=networks.encoder)
        assert len(alone) == 1
        for part, values in alone[0].parts.items():
            np.testing.assert_allclose(found.parts[part][place], values[0], rtol=2e-3, atol=2e-3, err_msg=part)
    assert found.kind == ("gray, more than 8 bits" if name == "png16" else "colour, 8 bits or fewer")


def test_descriptions_are_kept(networks: Networks, tmp_path: Path, monkeypatch) -> None:
    given = list(few_shot_data.labelled_pictures(3, 0, None))
    first = described(given, FORMATS["png8"], networks, folder=tmp_path, name="some")
    monkeypatch.setattr(few_shot_described, "_describe", lambda *_: pytest.fail("was kept"))
    again = described(given, FORMATS["png8"], networks, folder=tmp_path, name="some")
    assert again.kind == first.kind
    assert all(torch.equal(again.parts[part], values) for part, values in first.parts.items())
    assert (again.strengths == first.strengths).all()
    assert len(again.first(2)) == 2
    with pytest.raises(pytest.fail.Exception):
        described(given, FORMATS["png8"], networks, folder=tmp_path, name="others")


def test_evidence_that_is_kept_says_the_same(tmp_path: Path, monkeypatch, networks: Networks) -> None:
    monkeypatch.setattr(few_shot_data, "LABELLED_PX", 128)
    encoder = networks.encoder
    assert isinstance(encoder, NearEncoder)
    inside = evidence.store(60, 0, None, None)
    monkeypatch.setattr(few_shot_data, "IN_MEMORY", 20)
    outside = evidence.store(60, 0, tmp_path, None)
    index = np.array([41, 3, 3, 17])
    given = torch.stack([one.channels[0] for one in few_shot_data.labelled_pictures(60, 0, None)])[index]
    exact = evidence.evidence_of(given)
    for kept in (inside, outside):
        found = kept.take(index)
        assert torch.equal(found.share, exact.share)
        with torch.inference_mode():
            said, expected = encoder.embed(found), encoder.embed(exact)
        between = (expected - expected.mean(0)).std()
        assert float((said - expected).square().mean().sqrt()) < 0.01 * float(between)
    part = inside.take(index, (slice(2, 6), slice(8, 16)))
    assert torch.equal(part.share, exact.share.reshape(4, 16, 16, -1)[:, 2:6, 8:16].flatten(1, 2))
    (folder,) = tmp_path.iterdir()
    (folder / evidence.DONE).unlink()  # as a run leaves it that was stopped
    (folder / "block.npy").write_bytes(b"half")
    assert torch.equal(evidence.store(60, 0, tmp_path, None).take(index).block, inside.take(index).block)


def test_the_law_is_that_of_the_genome() -> None:
    strengths = few_shot_data.draw_strengths(few_shot_data.LAW, 10, torch.Generator().manual_seed(3))
    assert torch.equal(strengths, paper.sample(10, torch.Generator().manual_seed(3)))
