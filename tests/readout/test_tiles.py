"""Which pixels are looked at."""

import numpy as np

from noisediag.images import Plane
from noisediag.readout.tiles import Bag, cut, side_by_side


def test_large_pictures_are_sampled_over_their_whole_area() -> None:
    rows = np.arange(2048, dtype=np.float32)[:, None].repeat(2048, 1)
    plane = Plane("gray", rows.shape, lambda: rows, 0.0, 2048.0, "file", offset_known=True, white_known=True)
    bag = cut([(plane, rows)], 24)
    assert bag.tiles.shape == (24, 256, 256)
    assert bag.tiles.min() < 0.13
    assert bag.tiles.max() > 0.87


def test_no_lattice_is_looked_for_where_none_is_asked() -> None:
    codes = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) // 8 * 16
    plane = Plane("gray", codes.shape, lambda: codes, 0.0, 65535.0, "file", offset_known=True, white_known=True)
    with_it, without = cut([(plane, codes)], 24), cut([(plane, codes)], 24, lattice=False)
    assert with_it.step == 16 / 65535
    assert without.step is None
    assert without.container is None
    assert np.array_equal(with_it.tiles, without.tiles)


def test_neighbours_of_one_shape_go_together_as_far_as_there_is_room() -> None:
    def bag(*shape: int) -> Bag:
        return Bag(np.zeros(shape, np.float32), None, None)

    bags = [bag(1, 16, 16), bag(1, 16, 16), bag(1, 16, 16), bag(2, 16, 16), bag(1, 16, 24), bag(1, 16, 24)]
    groups = side_by_side(bags, 2 * 16 * 16)
    assert [len(group) for group in groups] == [2, 1, 1, 1, 1]  # the last two are too large to go together
    assert [one for group in groups for one in group] == bags
