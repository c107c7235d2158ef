"""Plots: what is drawn, where its labels stand, and that the same footprint gives the same bytes."""

import importlib.util
import itertools

import pytest
from matplotlib.figure import Figure
from PIL import Image

from noisediag.errors import UsageError
from noisediag.footprint.plane import CurvePoint
from noisediag.reports import plots

BEGINNINGS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


def drawn(footprint):
    """Axes with the footprint's curve, laid out."""
    figure = Figure(figsize=(7.5, 6), layout="constrained")
    axes = figure.add_subplot()
    plots.draw_noise_curve(footprint, axes)
    figure.draw_without_rendering()
    return axes


def curve(scale=1.0, low=0.8, high=1.3, first=0.01):
    return tuple(
        CurvePoint(x, scale * x**0.5, low * scale * x**0.5, high * scale * x**0.5)
        for x in (first * (1 / first) ** (n / 15) for n in range(16))
    )


@pytest.mark.parametrize("suffix", plots.SUFFIXES)
def test_the_same_footprint_gives_the_same_file(footprint, tmp_path, suffix):
    paths = [tmp_path / f"curve{suffix}", tmp_path / f".curve{suffix}.{'0a' * 16}.part"]
    for path in paths:
        plots.noise_curve(footprint, path)
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(BEGINNINGS[suffix])
    assert first == second


def test_draws_every_plane(footprint, tmp_path):
    plots.noise_curve(footprint, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as image:
        colours = image.convert("RGB").getcolors(maxcolors=1 << 20)
    shown = {colour for _, colour in colours}
    assert (0, 0, 0) in shown  # all
    assert (0xC0, 0x39, 0x2B) in shown or (0x24, 0x71, 0xA3) in shown


def test_planes_are_told_apart_without_colour(make_footprint, make_plane):
    names = ("R", "G1", "G2", "B", "GFP", "DAPI", "Cy5", "all")
    planes = tuple(make_plane(name, curve=curve(1 + number / 10)) for number, name in enumerate(names))
    axes = drawn(make_footprint(planes=planes))
    labelled = {text.get_text() for text in axes.get_legend().get_texts()}
    assert labelled == set(names)
    bars = [container for container in axes.containers if container.get_label() in labelled]
    styles = {
        (one.lines[0].get_linestyle(), str(one.lines[0]._dash_pattern), one.lines[0].get_marker()) for one in bars
    }
    assert len(styles) == len(bars) == len(names) - 1


@pytest.mark.parametrize("count", [20])
def test_many_planes_fit(make_footprint, make_plane, tmp_path, count):
    planes = tuple(make_plane(f"channel {n} of a long name", curve=curve(1 + n / 10)) for n in range(count))
    path = "a name that is very long indeed " * 8 + ".tif"
    plots.noise_curve(make_footprint(planes=(*planes, make_plane("all", curve=curve())), path=path), tmp_path / "c.png")
    axes = drawn(make_footprint(planes=(*planes, make_plane("all", curve=curve()))))
    assert f"{count - 8} others" in {text.get_text() for text in axes.get_legend().get_texts()}


@pytest.mark.parametrize("first", [1e-6, 0.01, 0.5, 0.97])
@pytest.mark.parametrize("levels", [(512.0, 16383.0), (0.0, 1.0), (None, None)], ids=str)
def test_no_label_stands_on_another(make_footprint, make_plane, first, levels):
    plane = make_plane("all", curve=curve(first=first), black_dn=levels[0], white_dn=levels[1])
    axes = drawn(make_footprint(planes=(plane,)))
    texts = [axes.title, axes.xaxis.label, axes.yaxis.label]
    every = [axes, *axes.child_axes]
    assert len(every) == (1 if levels[0] is None else 3)
    for one in every:
        axis = one.xaxis if one in every[:2] else one.yaxis
        ticks = [label for label in axis.get_ticklabels() if label.get_text()]
        assert len(ticks) >= 2
        texts += ticks + [one.xaxis.label, one.yaxis.label] * (one is not axes)
    texts += [label for label in axes.yaxis.get_ticklabels() if label.get_text()]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert all(not a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_dn_stands_where_it_belongs(make_footprint, make_plane):
    axes = drawn(make_footprint(planes=(make_plane("all", curve=curve(), black_dn=512.0, white_dn=16383.0),)))
    above, right = axes.child_axes
    assert above.get_xlabel() == "signal, DN above black (512)"
    assert above.get_xlim() == pytest.approx([15871 * x for x in axes.get_xlim()])
    assert right.get_ylim() == pytest.approx([15871 * y for y in axes.get_ylim()])
    unlike = (make_plane("R", curve=curve(), black_dn=0.0, white_dn=255.0), make_plane("all", curve=curve()))
    assert "of all" in drawn(make_footprint(planes=unlike)).child_axes[0].get_xlabel()


def test_a_curve_that_log_axes_cannot_show_is_said_to_be_none(make_footprint, make_plane, tmp_path):
    flat = make_plane(curve=(CurvePoint(0.0, 0.0, 0.0, 0.0),))
    footprint = make_footprint(planes=(flat,), path="$x$.tif")
    plots.noise_curve(footprint, tmp_path / "curve.png")
    assert "no noise" in drawn(footprint).texts[0].get_text()
    assert not drawn(footprint).axison


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"noisediag\[plot\]"):
        plots.require()
