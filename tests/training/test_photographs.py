"""Training data of the rendered network: what a set holds, and how scenes are made as large as a camera needs them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from noisediag.genome import rendered, scenes
from noisediag.genome.rendered import AREAS, LEVELS, PLANES
from noisediag.training.photographs import KEPT, RenderedSet, labelled, rendered_set, scenes_for
from noisediag.training.pictures import CleanPool


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pool() -> CleanPool:
    return CleanPool(scenes.make(6, 128, seeded(1)))


@pytest.fixture(scope="module")
def data(pool: CleanPool) -> RenderedSet:
    return rendered_set(pool, 8, 64, seed=5, purpose="test")


def test_a_set_holds_pictures_in_codes_and_the_truth_of_every_plane(data: RenderedSet) -> None:
    count, planes = len(data), len(PLANES)
    assert count == 8
    assert data.pictures.shape == (count, KEPT, 3, 64, 64)
    assert data.pictures.dtype == torch.uint8
    assert data.signal.shape == data.sigma.shape == (count, planes, LEVELS)
    assert data.lag1.shape == (count, planes, 2)
    assert data.areas.shape == (count, planes, len(AREAS))
    assert data.channels.shape == (count, 3)
    assert data.flags.shape == (count, 3)
    assert ((data.signal >= 0) & (data.signal <= 1)).all()
    assert (data.sigma >= 0).all()
    assert (data.flags.isnan() | (data.flags == 0) | (data.flags == 1)).all()


def test_a_scene_depends_on_the_seed_and_its_place_only(pool: CleanPool, data: RenderedSet) -> None:
    fewer = rendered_set(pool, 4, 64, seed=5, purpose="test")
    assert torch.equal(fewer.pictures, data.pictures[:4])
    assert torch.equal(fewer.sigma, data.sigma[:4])
    assert not torch.equal(rendered_set(pool, 2, 64, seed=6, purpose="test").pictures, data.pictures[:2])


def test_sets_of_other_sizes_and_purposes_are_taken_by_other_cameras(
    pool: CleanPool, data: RenderedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def photographs(pool: CleanPool, size: int, together: int, draws: int, generator: torch.Generator, **_: object):
        seeds.append(generator.initial_seed() % 2**32)  # what torch keeps of it
        return data.select(slice(0, together))

    monkeypatch.setattr("noisediag.training.photographs.photographs", photographs)
    for purpose in ("calibration", "validation"):
        for size in (128, 224):
            for seed in (0, 1, 20_000):
                rendered_set(pool, 20, size, seed, purpose=purpose, together=1)
    assert len(seeds) == len(set(seeds)) == 2 * 2 * 3 * 20


def test_sets_are_cut_and_joined(data: RenderedSet) -> None:
    again = RenderedSet.join([data.select(slice(0, 3)), data.select(torch.arange(3, 8))])
    assert torch.equal(again.pictures, data.pictures)
    assert torch.equal(again.channels, data.channels)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_scenes_are_as_large_as_the_camera_needs(pool: CleanPool, scale: float) -> None:
    settings = replace(rendered.sample_camera(seeded(3)), scale=scale, kernel=None if scale == 1 else "bilinear")
    scene = scenes_for(pool, settings, 3, 64, seeded(4))
    side = rendered.scene_px(settings, 64)
    assert scene.shape == (3, 3, side, side)
    assert scene.min() >= 0
    assert scene.max() <= 1


def test_unprocessed_gray_scenes_are_those_of_the_pool(pool: CleanPool) -> None:
    plain = replace(rendered.sample_camera(seeded(3)), tone=None, gray=True, scale=1.0, kernel=None)
    scene = scenes_for(pool, plain, 2, 64, seeded(4))
    assert torch.equal(scene[:, 0], scene[:, 1])


def test_small_pictures_are_continued_by_their_mirror_image() -> None:
    picture = torch.arange(12.0).reshape(1, 1, 3, 4)
    large = rendered.mirrored(picture, 9)
    assert large.shape == (1, 1, 9, 9)
    assert torch.equal(large[..., :3, :4], picture)
    assert large[0, 0, 3].tolist()[:4] == picture[0, 0, 1].tolist()
    assert large[0, 0, :, 4].tolist()[:3] == picture[0, 0, :, 2].tolist()
    assert set(large.flatten().tolist()) == set(range(12))
    assert torch.equal(rendered.mirrored(picture, 3), picture[..., :3])


def test_flags_are_known_where_a_picture_was_clearly_enlarged_or_clearly_not() -> None:
    settings = replace(rendered.sample_camera(seeded(3)), tone="srgb", kernel="bilinear")
    flat = torch.full((1, 3, 130, 130), 0.4)

    def flags(scale: float) -> torch.Tensor:
        camera = replace(settings, scale=scale)
        side = rendered.scene_px(camera, 32)
        measured = rendered.measure(flat[..., :side, :side], camera, 32, 3, 2, seeded(5))
        return labelled(measured, camera).flags[0]

    assert flags(1.5)[[0, 2]].tolist() == [1, 1]
    assert flags(0.7)[[0, 2]].tolist() == [1, 0]
    assert flags(1.1)[2].isnan()
