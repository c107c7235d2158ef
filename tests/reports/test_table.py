import io

import pytest
from rich.console import Console

from noisediag.errors import printable
from noisediag.footprint.file import Rendered, Spatial
from noisediag.footprint.plane import FLAGS, BlackCheck, LightLaw, SampledCurve, SaturationLevel
from noisediag.reports.table import FLAG_WORDS, WIDTH, digits, frames_to_average, number, render
from noisediag.traces.hot_pixels import HotPixels
from noisediag.traces.lines_and_waves import Arrangement


def text_of(footprint, **options):
    out = io.StringIO()
    Console(file=out, width=WIDTH, **options).print(render(footprint))
    return out.getvalue()


def lines_of(footprint):
    return [line.rstrip() for line in text_of(footprint).splitlines()]


def test_fits_80_columns_without_cutting(footprint, make_footprint, make_plane):
    wide = make_footprint(
        planes=tuple(
            make_plane(
                "all", values={"shot_gain": 1.234e-5, "multiplicative": 0.0123, "correlation": 1.23}, flags=FLAGS
            )
            for _ in range(12)
        ),
        flags=FLAGS,
    )
    for case in (footprint, wide):
        text = text_of(case)
        assert max(len(line) for line in text.splitlines()) <= 80
        assert "…" not in text
    assert "+ 3 more" in text_of(wide)


def test_says_what_was_measured(footprint):
    lines = lines_of(footprint)
    shot = next(line.split() for line in lines if line.startswith("shot gain"))
    assert shot == "shot gain 2.1e-5 1/e- 1.9e-5 .. 2.3e-5 0.33 99 %".split()
    impulse = next(line for line in lines if line.startswith("impulse"))
    assert impulse.split() == "impulse - < 3.0e-5 - 2 % below detection".split()
    assert any(line.split()[:3] == ["gain", "3.0", "e-/DN"] for line in lines)
    assert any(line.startswith("frames to average") and "40 dB" in line for line in lines)


def test_numbers_are_right_aligned(footprint):
    lines = lines_of(footprint)
    start = next(i for i, line in enumerate(lines) if line.startswith("signal")) + 1
    ends = {line.index(" %") for line in lines[start : start + 5]}
    assert len(ends) == 1


def test_the_curve_comes_before_the_parameters(footprint):
    text = text_of(footprint)
    assert text.index("noise curve") < text.index("shot gain") < text.index("what follows")


def test_every_flag_has_words():
    assert tuple(FLAG_WORDS) == FLAGS


def test_no_colour_where_none_is_wanted(footprint, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in text_of(footprint, force_terminal=True)


def test_file_names_are_neither_markup_nor_escapes(make_footprint):
    text = text_of(make_footprint(path="[red]\x1b[2J.tif"))
    assert "[red]\\x1b[2J.tif" in text


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [(0.33321, 0.302, 0.365, "0.33"), (0.33321, 0.3330, 0.3334, "0.333"), (47619.0, 40000.0, 60000.0, "50000")],
)
def test_no_digit_that_the_interval_does_not_support(value, low, high, shown):
    assert number(value, digits(value, low, high)) == shown


@pytest.mark.parametrize(("snr_db", "frames"), [(40.0, 1), (37.0, 2), (20.0, 100)])
def test_frames_to_average(snr_db, frames):
    assert frames_to_average(snr_db) == frames


def test_a_file_with_several_channels_says_whose_footprint_it_shows(make_footprint, make_plane):
    channels = ("DAPI", "GFP")
    planes = (*(make_plane(c, channel=c) for c in channels), *(make_plane("all", channel=c) for c in channels))
    lines = lines_of(make_footprint(planes=planes, domain="linear", cfa_plane_colors=()))
    assert any(line.startswith("noise curve of GFP all:") for line in lines)
    start = next(i for i, line in enumerate(lines) if line.startswith("plane ")) + 1
    assert [line.split()[0:2] for line in lines[start : start + 2]] == [["DAPI", "10"], ["GFP", "10"]]
    assert not lines[start + 2]  # `DAPI all` would only say the same again


def test_what_lies_beyond_the_signals_of_the_picture_is_called_extrapolated(footprint, make_footprint, make_plane):
    dark = make_plane(curve=make_plane().curve[:3])
    assert "extrapolated" in text_of(make_footprint(planes=(dark,)))
    assert "extrapolated" not in text_of(footprint)


def test_what_could_act_on_a_terminal_is_escaped():
    assert printable("a\x1b[31m\udcff\n.tif") == "a\\x1b[31m\\xff\\n.tif"


def test_what_the_pixels_say_follows(footprint, make_footprint, make_plane):
    plane = make_plane(
        light=LightLaw("photon", 0.97),
        saturation=SaturationLevel(3818.0, 10.2, 0.021, 4095.0),
        black=BlackCheck(0.0, 256.0, "variance"),
        missing_share=0.3,
        hot_pixels=HotPixels(0.0034, 665.2, 473.75),
        arrangement=Arrangement(0.0, 0.0, 0.02),
    )
    lines = lines_of(make_footprint(planes=(plane,), uneven=(0.7, 1.6)))
    follows = " ".join(" ".join(lines[lines.index("what follows") :]).split())
    for row in (
        "law photon (97 %)",
        "saturates at 3818 +- 10 DN, 2.1 % of the pixels; stated white 4095",
        "black 256 DN, by the noise; stated 0",
        "missing pixels 30 % left out",
        "uneven 0.70 .. 1.60 times the curve's sigma, in parts of the picture",
        "hot pixels 0.34 % by 670 DN in the mean, 470 in the median",
        "one wave 2.0 % of the noise's variance",
    ):
        assert row in follows
    assert max(map(len, lines)) <= WIDTH
    plain = text_of(footprint)
    assert not any(word in plain for word in ("law", "saturates", "missing", "uneven", "hot pixels", "wave"))


@pytest.mark.parametrize("processed", [True, False])
def test_header_and_table_agree_about_processing(make_footprint, make_plane, processed):
    law = {"law": SampledCurve((0.0, 1.0), (0.01, 0.02))} if processed else {}
    seen = Rendered((Spatial("all", 0.0, 0.0, 0.0, (0.01, 0.01, 0.01)),), 0.5, 0.0, 0.0, None, None, None, None, None)
    text = text_of(make_footprint(planes=(make_plane(**law),), domain="rendered", rendered=seen))
    words = ("rendered, processed", "as processing left it"), ("rendered, unprocessed", "as a sensor gives it")
    assert [all(word in text for word in pair) for pair in words] == [processed, not processed]
