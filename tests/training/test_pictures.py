"""What is laid over what: exact scenes for faint noise, mosaics, pictures of nothing but noise."""

from dataclasses import replace

import torch

from noisediag.genome import scenes, sensor
from noisediag.training.pictures import HALVED, JOINED, MOSAIC, CleanPool, clean_pool, faint, is_pure
from noisediag.training.recipe import Recipe


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_faint_noise_is_laid_over_exact_scenes_only() -> None:
    pool = CleanPool(torch.zeros(3, 64, 64), torch.ones(5, 64, 64), image_share=0.8)
    exact = torch.arange(400) % 2 == 0
    crops = pool.draw(400, 32, seeded(1), varied=False, exact=exact)
    image = crops.mean((1, 2)) > 0.5
    assert not image[exact].any()
    share = float(image[~exact].float().mean())
    assert abs(share - 0.8) < 4 * (0.8 * 0.2 / 200) ** 0.5
    noise = sensor.sample("clean", 2, seeded(2))
    assert faint(replace(noise, read_noise=torch.tensor([0.001, 0.01]))).tolist() == [True, False]


def test_only_flat_uncut_noise_alone_is_pure() -> None:
    flat = torch.full((5, 32, 32), 0.5)
    flat[1, 12:] = 0.7  # an edge
    flat[2] = 0.99  # too near to white
    noise = replace(sensor.sample("clean", 5, seeded(3)), read_noise=torch.tensor([0.01, 0.01, 0.01, 0.01, 0.0]))
    noise = replace(noise, row_noise=torch.tensor([0.0, 0.0, 0.0, 0.01, 0.0]))
    assert is_pure(flat, noise, torch.zeros(5)).tolist() == [True, False, False, False, False]


def test_a_mosaic_is_made_of_shrunk_pictures_of_one_kind() -> None:
    pool = CleanPool(torch.zeros(3, 64, 64), torch.ones(5, 64, 64), image_share=0.5)
    pool.pictures[:, ::2] += 0.25  # lines that shrinking averages away
    crops = pool.draw(300, 32, seeded(5), varied=False)
    shrunk = (crops.amax((1, 2)) == crops.amin((1, 2))).float().mean()  # mosaics, and crops of twice the region
    expected = MOSAIC + (1 - MOSAIC) * HALVED
    assert abs(float(shrunk) - expected) < 4 * (expected * (1 - expected) / 300) ** 0.5


def test_a_mosaic_shows_four_pictures() -> None:
    pool = CleanPool(torch.arange(8.0)[:, None, None].expand(8, 64, 64) / 8)
    crops = pool.draw(200, 32, seeded(6), varied=False)
    levels = torch.tensor([len(crop.unique()) for crop in crops])
    assert levels.max() > 2
    assert levels.max() <= 4


def test_shrunk_images_are_mosaics_and_drawn_even_where_no_image_is_for_the_rest() -> None:
    pool = CleanPool(torch.zeros(3, 64, 64), torch.ones(5, 64, 64), image_share=0.0)
    pool.pictures[:, ::2] += 0.25
    shrunk = torch.arange(400) % 2 == 0
    crops = pool.draw(400, 32, seeded(7), varied=False, shrunk=shrunk)
    image = crops.amin((1, 2)) > 0.5
    assert not image[~shrunk].any()
    assert abs(float(image[shrunk].float().mean()) - 0.5) < 4 * (0.25 / 200) ** 0.5
    assert torch.equal(crops[image], torch.full_like(crops[image], 1.125))


def test_a_finer_pool_joins_pictures_and_keeps_what_has_to_be_clean_clean() -> None:
    pool = CleanPool(torch.zeros(3, 64, 64), torch.ones(5, 64, 64), image_share=0.5, finer=True)
    pool.pictures[3:, ::2] += 0.25
    exact = torch.arange(900) % 3 == 0
    shrunk = torch.arange(900) % 3 == 1
    crops = pool.draw(900, 32, seeded(8), varied=False, exact=exact, shrunk=shrunk)
    assert not crops[exact].any()
    mixed = (crops.amin((1, 2)) == 0) & (crops.amax((1, 2)) >= 1.1)
    assert 0.02 < mixed[~exact].float().mean() < JOINED
    assert not (crops[shrunk] == 1.25).any()  # lines of images that were not shrunk
    assert (crops[~exact & ~shrunk] == 1.25).any()
    border = crops[mixed][:, :, 1:] - crops[mixed][:, :, :-1]
    assert ((border.abs() > 0.02) & (border.abs() < 0.9)).any()  # antialiased


def test_small_crops_of_a_finer_pool_show_regions_of_up_to_four_times_their_width() -> None:
    stripes = torch.ones(4, 64, 64)
    stripes[:, :, ::4] = 0.0  # averaged away by four, not by two
    for finer, expected in ((False, 0.0), (True, HALVED / 3)):
        crops = CleanPool(stripes, finer=finer).draw(600, 16, seeded(9), varied=False)
        even = (crops[:, 0] == 0.75).all(1).float().mean()
        assert abs(float(even) - expected - MOSAIC * (1 - expected)) < 0.06


def test_a_pool_has_the_fine_scenes_unless_it_is_to_be_that_of_earlier_releases(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        scenes, "make", lambda n, side, generator, kinds=None: asked.append(kinds) or torch.zeros(n, 8, 8)
    )
    for finer in (True, False):
        pool = clean_pool(Recipe(scenes=10), torch.device("cpu"), side=8, finer=finer)
        assert pool.finer is finer
    assert asked == [scenes.TRAINING, ("glow",), None, ("glow",)]
