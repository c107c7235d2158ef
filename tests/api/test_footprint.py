"""What a footprint does in a Python session: as a mapping, as a value, as text, table, picture and map."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import noisediag
from noisediag.footprint.file import Footprint
from noisediag.genome.parameters import NAMES

NASTY = "<script>alert(1)</script>&\"'\x1b[31m.png"


class Elements(HTMLParser):
    """Names of the elements, and whether each one is closed."""

    VOID = frozenset({"br", "line", "polygon", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


class TestMapping:
    def test_of_names_to_estimates(self, footprint: Footprint) -> None:
        assert list(footprint) == list(footprint.keys()) == list(NAMES)
        assert "shot_gain" in footprint
        assert "shotgain" not in footprint
        assert 3 not in footprint
        assert len(footprint) == len(NAMES)
        assert dict(footprint)["shot_gain"] is footprint["shot_gain"]
        assert [one.name for one in footprint.values()] == [name for name, _ in footprint.items()]
        assert footprint.get("nothing") is None
        with pytest.raises(KeyError, match="there are: shot_gain"):
            footprint["shotgain"]

    def test_is_true_even_without_parameters(self, make_footprint: Callable[..., Footprint], make_plane: Any) -> None:
        assert make_footprint(planes=(make_plane(parameters=()),))


class TestValue:
    def test_equal_ones_have_one_hash(self, make_footprint: Callable[..., Footprint]) -> None:
        tags = {"ISO": 400, "Matrix": np.arange(3), "Unknown": float("nan"), "List": [1, [2]]}
        one, other = (make_footprint(acquisition=copy.deepcopy(tags)) for _ in range(2))
        assert one == other
        assert hash(one) == hash(other)
        assert len({one, other, make_footprint()}) == 2
        assert one != replace(one, flags=("clipped",))
        assert one != make_footprint(acquisition={**tags, "Matrix": np.arange(4)})
        assert one != 3

    def test_the_order_of_tags_makes_no_difference(self, make_footprint: Callable[..., Footprint]) -> None:
        one, other = make_footprint(acquisition={"A": 1, "B": 2}), make_footprint(acquisition={"B": 2, "A": 1})
        assert one == other
        assert hash(one) == hash(other)

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
    def test_copies_are_equal(self, footprint: Footprint, again: Callable[[Footprint], Footprint]) -> None:
        tagged = replace(footprint, acquisition={"Unknown": float("nan")})
        assert again(tagged) == tagged
        assert hash(again(tagged)) == hash(tagged)

    def test_of_a_real_estimate(self) -> None:
        picture = np.random.default_rng(0).normal(120, 6, (64, 64, 3)).round().astype(np.uint8)
        one, other = (noisediag.estimate(picture, device="cpu") for _ in range(2))
        assert one == other
        assert hash(one) == hash(other) == hash(pickle.loads(pickle.dumps(one)))


class TestText:
    def test_one_short_line(self, footprint: Footprint) -> None:
        text = repr(replace(footprint, path=f"a/{NASTY}", flags=("clipped",)))
        assert "\n" not in text
        assert "\x1b" not in text
        assert len(text) < 250
        for part in ("raw-linear", "3020 x 2012 px", "sigma", "shot_gain, read_noise, row_noise", "clipped"):
            assert part in text

    def test_planes_are_short_too(self, footprint: Footprint) -> None:
        assert repr(footprint.planes[0]).startswith("<PlaneFootprint R: 3020 x 2012 px, sigma ")
        assert footprint._ipython_key_completions_() == list(NAMES)

    def test_says_where_nothing_was_found(self, make_footprint: Callable[..., Footprint], make_plane: Any) -> None:
        silent = make_plane(values={"shot_gain": None, "read_noise": None, "row_noise": None})
        assert "no noise found" in repr(make_footprint(planes=(silent,)))
        whole = make_plane()
        unsplit = tuple(replace(one, value=None, present=None, flag="weakly_identified") for one in whole.parameters)
        told = repr(make_footprint(planes=(replace(whole, parameters=unsplit),)))
        assert "no kind told apart" in told


class TestHtml:
    def test_curve_and_table(self, footprint: Footprint) -> None:
        page = footprint._repr_html_()
        elements = Elements(page)
        assert not elements.open
        assert elements.names.count("svg") == elements.names.count("table") == 1
        assert elements.names.count("tr") == 1 + 3
        (middle,) = re.findall(r'polyline points="([^"]*)"', page)
        points = [tuple(map(float, point.split(","))) for point in middle.split()]
        assert len(points) == len(footprint.curve)
        assert all(64 <= x <= 428 and 10 <= y <= 218 for x, y in points)
        assert points == sorted(points)
        assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)  # more light, more noise

    def test_ticks_lie_where_their_values_do(self, footprint: Footprint) -> None:
        page = footprint._repr_html_()
        ticks = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="middle">([\d.e-]+)</text>', page)
        assert len(ticks) >= 2
        (first, low), (last, high) = ticks[0], ticks[-1]
        (middle,) = re.findall(r'polyline points="([^"]*)"', page)
        x = float(middle.split()[0].split(",")[0])
        share = (x - float(first)) / (float(last) - float(first))
        signal = math.exp(math.log(float(low)) + share * math.log(float(high) / float(low)))
        assert signal == pytest.approx(footprint.curve[0].signal, rel=0.02)

    def test_whatever_a_file_says_stands_there_as_text(self, footprint: Footprint) -> None:
        nasty = replace(footprint, path=NASTY, acquisition={"Make": NASTY, "ISO": NASTY}, warnings=(NASTY,) * 9)
        page = nasty._repr_html_()
        assert "script" not in Elements(page).names
        assert "<script" not in page
        assert "\x1b" not in page
        assert "&lt;script&gt;" in page
        assert "and 4 more warnings" in page

    @pytest.mark.parametrize("sigma", [0.0, float("nan")])
    def test_a_curve_that_cannot_be_drawn_is_left_out(
        self, make_footprint: Callable[..., Footprint], make_plane: Any, sigma: float
    ) -> None:
        curve = tuple(replace(point, sigma=sigma, low=0.0) for point in make_plane().curve)
        assert "svg" not in Elements(make_footprint(planes=(make_plane(curve=curve),))._repr_html_()).names

    def test_a_bound_of_zero_and_a_level_curve_are_drawn(
        self, make_footprint: Callable[..., Footprint], make_plane: Any
    ) -> None:
        curve = tuple(replace(point, sigma=0.01, low=0.0, high=0.01) for point in make_plane().curve[:1])
        page = make_footprint(planes=(make_plane(curve=curve),))._repr_html_()
        assert "nan" not in page
        assert "svg" in Elements(page).names


class TestNumbers:
    def test_sigma_of_numbers_and_arrays(self, footprint: Footprint) -> None:
        law = footprint.planes[-1].law
        assert footprint.sigma(0.18) == law.sigma(0.18)
        assert isinstance(footprint.sigma(0.18), float)
        assert isinstance(footprint.sigma(1), float)
        for many in ([0.1, 0.2], (0.1, 0.2), np.array([0.1, 0.2], np.float32)):
            np.testing.assert_allclose(footprint.sigma(many), law.sigma(np.array([0.1, 0.2])), rtol=1e-6)
        assert footprint.sigma(np.zeros((2, 3))).shape == (2, 3)

    def test_sigma_in_dn(self, footprint: Footprint, make_plane: Any) -> None:
        main = footprint.planes[-1]
        assert footprint.sigma_dn(main.black_dn + 0.18 * main.span_dn) == pytest.approx(
            footprint.sigma(0.18) * main.span_dn
        )
        assert footprint.sigma_dn([1000, 2000]).shape == (2,)
        with pytest.raises(noisediag.UsageError, match="ask a plane"):
            replace(footprint, planes=(make_plane(black_dn=None),)).sigma_dn(1000)

    def test_json_is_the_report(self, footprint: Footprint) -> None:
        report = json.loads(footprint.to_json())
        assert report["schema"] == "noisediag.report/1"
        assert report["images"] == [footprint.to_dict()]

    def test_a_frame_of_the_same_numbers(self, footprint: Footprint) -> None:
        pytest.importorskip("pandas")
        frame = footprint.to_frame()
        wanted = footprint.to_dict()["planes"][-1]["parameters"]
        assert list(frame["name"]) == list(NAMES)
        assert set(frame["plane"]) == {"all"}
        for row, parameter in zip(frame.to_dict("records"), wanted, strict=True):
            for key, value in parameter.items():
                assert row[key] == value or (value is None and row[key] != row[key]), key
        assert len(footprint.to_frame(planes=True)) == len(NAMES) * len(footprint.planes)

    def test_without_pandas_or_matplotlib_the_error_says_so(
        self, footprint: Footprint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for library in ("pandas", "matplotlib"):
            monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(noisediag.UsageError, match="needs pandas"):
            footprint.to_frame()
        with pytest.raises(noisediag.UsageError, match=r"noisediag\[plot\]"):
            footprint.plot()


class TestPlot:
    def test_draws_into_the_axes_it_is_given(self, footprint: Footprint) -> None:
        figure = pytest.importorskip("matplotlib.figure").Figure()
        axes = figure.add_subplot()
        assert footprint.plot(ax=axes) is axes
        sigmas = [point.sigma for point in footprint.curve]
        drawn = [list(line.get_ydata()) for line in axes.lines if len(line.get_ydata()) == len(sigmas)]
        assert len(drawn) >= len(footprint.planes)
        assert any(np.allclose(one, sigmas) for one in drawn)
        with pytest.raises(noisediag.UsageError, match="figsize"):
            footprint.plot(ax=axes, figsize=(3, 3))

    def test_makes_a_figure_of_its_own(self, footprint: Footprint) -> None:
        pytest.importorskip("matplotlib").use("agg")
        from matplotlib import pyplot

        axes = footprint.plot(figsize=(4, 3))
        assert tuple(axes.figure.get_size_inches()) == (4, 3)
        pyplot.close(axes.figure)


class TestMap:
    @pytest.fixture
    def picture(self) -> np.ndarray:
        light = np.linspace(200, 3000, 64 * 64).reshape(64, 64)
        return (np.random.default_rng(0).poisson(light) + 100).astype(np.uint16)

    def test_of_an_array_and_of_a_file(self, picture: np.ndarray, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        PIL.Image.fromarray(picture).save(path)
        fp = noisediag.estimate(picture, black=100, white=4095, device="cpu")
        of_file = noisediag.estimate(path, black=100, white=4095, device="cpu")
        dn = fp.sigma_map()
        assert (dn.shape, dn.dtype) == (picture.shape, np.float32)
        np.testing.assert_allclose(dn, fp.sigma_map(scale=1) * 3995, rtol=1e-5)
        np.testing.assert_array_equal(dn, of_file.sigma_map())
        assert dn[32, 32] == pytest.approx(fp.sigma_dn(picture[30:35, 30:35].mean()), rel=1e-3)

    def test_of_a_picture_that_is_handed_over(self, picture: np.ndarray) -> None:
        fp = noisediag.estimate(picture, black=100, white=4095, device="cpu")
        pickled = pickle.loads(pickle.dumps(fp))
        (streamed,) = noisediag.estimate_many([picture], black=100, white=4095, device="cpu")
        for other in (pickled, streamed):
            with pytest.raises(noisediag.UsageError, match=r"sigma_map\(picture\)"):
                other.sigma_map()
            np.testing.assert_array_equal(other.sigma_map(picture, black=100, white=4095), fp.sigma_map())
        with pytest.raises(noisediag.UsageError, match="of another one"):
            fp.sigma_map(picture[:32])
        with pytest.raises(noisediag.UsageError, match="unknown keyword 'blck': black, white"):
            fp.sigma_map(picture, blck=3)
        with pytest.raises(noisediag.UsageError, match="scale is a positive number"):
            fp.sigma_map(scale=0)

    def test_a_file_that_has_changed_is_told(self, picture: np.ndarray, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        PIL.Image.fromarray(picture).save(path)
        fp = pickle.loads(pickle.dumps(noisediag.estimate(path, device="cpu")))
        assert fp.sigma_map().shape == picture.shape
        PIL.Image.fromarray(picture + 1).save(path)
        with pytest.raises(noisediag.UsageError, match="another file by now"):
            fp.sigma_map()
