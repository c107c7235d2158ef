"""The first screen of a footprint: it is short, true for every kind of file, and rounds by one rule."""

from __future__ import annotations

import io
import itertools
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from noisediag.footprint.file import Rendered, Spatial
from noisediag.footprint.plane import FLAGS, Estimate, LightLaw, SampledCurve
from noisediag.reports import screen, summary, table
from noisediag.reports.numbers import by_interval

PROCESSED = SampledCurve((0.0, 1.0), (0.01, 0.02))


def text_of(footprint, width=80, **options):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, **options).print(screen.render(footprint, width))
    return out.getvalue()


def lines_of(footprint, width=80):
    return [line.rstrip() for line in text_of(footprint, width).splitlines()]


def parameter(plane, name, **changes):
    """`plane` with one of its parameters changed."""
    others = tuple(replace(e, **changes) if e.name == name else e for e in plane.parameters)
    return replace(plane, parameters=others)


@pytest.fixture
def sentence(make_footprint):
    """The sentence of a footprint of one plane."""

    def of(plane, **changes):
        return summary.sentence(make_footprint(planes=(plane,), cfa_plane_colors=(), **changes))

    return of


@pytest.fixture
def rendered():
    def make(processed=True, **changes):
        seen = (Spatial("all", 0.4, 0.4, 0.6, (0.01, 0.01, 0.01)),)
        fields = {"thresholds": {"denoised": 0.93, "upscaled": 0.8}, "noise_processed": processed, **changes}
        return Rendered(seen, 0.99, 0.95, 0.02, None, 90, True, 0.1, False, **fields)

    return make


class TestSize:
    @pytest.mark.parametrize("width", [60, 72, 80, 100, 200])
    def test_fits_the_screen(self, footprint, make_footprint, make_plane, width):
        """Whatever can be said at once; nothing is cut in the middle of a word."""
        worst = make_footprint(
            planes=tuple(
                make_plane(
                    name, values=dict.fromkeys(("multiplicative", "impulse", "column_noise", "correlation"), 1e-3)
                )
                for name in ("R", "G1", "G2", "B", "all")
            ),
            flags=FLAGS,
            warnings=tuple(f"a warning that says in a whole line what is the matter, number {n}" for n in range(9)),
        )
        for case in (footprint, worst):
            lines = lines_of(case, width)
            assert max(map(len, lines)) <= width
            assert not any("…" in line for line in lines)
            if width >= 80:
                assert len(lines) <= 40
        assert len(lines_of(footprint)) <= 33

    def test_without_colour_the_words_are_the_same(self, footprint, monkeypatch):
        coloured = text_of(footprint, force_terminal=True, color_system="truecolor")
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[3" not in text_of(footprint, force_terminal=True)
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text_of(footprint)

    def test_names_act_on_no_terminal(self, make_footprint):
        assert "[red]\\x1b[2J.tif" in text_of(make_footprint(path="[red]\x1b[2J.tif", warnings=("bad \x1b[2J tag",)))
        assert "\x1b" not in text_of(make_footprint(path="[red]\x1b[2J.tif", warnings=("bad \x1b[2J tag",)))


class TestWhatIsSaid:
    def test_no_number_stands_there_twice(self, footprint):
        """But for 90 % of the intervals and the 50 % of presence, which are words of the legend."""
        lines = [line for line in lines_of(footprint)[3:] if not re.search("│|└", line)]
        said = " ".join(line for line in lines if not re.fullmatch(r"[\d. %]*", line))  # without the plot and its axis
        numbers = re.findall(r"(?<![\w.])\d+\.\d+(?:e-?\d+)?", said)
        assert len(numbers) > 15
        assert len(numbers) == len(set(numbers))

    def test_a_camera_s_file(self, footprint):
        said = summary.sentence(footprint)
        assert said == (
            "Shot-noise limited at all signals of the picture; about 3.0 e-/DN; sigma 0.001945 of white at mid-grey; "
            "rows add 0.47 % of the variance."
        )
        lines = lines_of(footprint)
        shot = next(line.split() for line in lines if line.startswith("shot gain"))
        assert shot == "shot gain 0.333 0.300 .. 0.367 DN/e- 99 %".split()
        assert "not found (probability below 50 %):" in text_of(footprint)

    def test_where_shot_noise_takes_over(self, sentence, make_plane):
        plane = make_plane(values={"shot_gain": 1e-4, "read_noise": 2e-3})  # at 4 % signal, which lies in the picture
        assert sentence(plane).startswith("Shot-noise limited above 4.0 % signal")
        unsure = parameter(plane, "read_noise", low=1e-3, high=4e-3)
        assert sentence(unsure).startswith("Shot-noise limited above 4.0 % signal (90 %: 0.91 % to 18 %)")
        loud = make_plane(values={"shot_gain": 1e-4, "read_noise": 2e-2})
        assert sentence(loud).startswith("Read-noise limited at all signals of the picture, shot noise from 400 %")

    def test_pixel_gains_limit_the_bright_end(self, sentence, make_plane):
        plane = make_plane(values={"shot_gain": 1e-4, "read_noise": 5e-5, "multiplicative": 0.03})
        assert "and differences in pixel gain above 11 %" in sentence(plane)

    def test_nothing_is_claimed_of_what_is_not_known(self, sentence, make_plane):
        plane = make_plane()
        weak = parameter(plane, "shot_gain", flag="weakly_identified", low=1e-6, high=1e-4)
        assert "cannot be told apart" in sentence(weak)
        assert "e-/DN" not in sentence(weak)
        none = {"value": None, "low": None, "high": None, "value_dn": None, "low_dn": None, "high_dn": None}
        gone = parameter(plane, "shot_gain", **none, present=None, flag="weakly_identified")
        assert sentence(gone).startswith("What limits the noise cannot be told")
        dark = parameter(
            replace(plane, offset_known=False), "read_noise", **none, present=None, flag="weakly_identified"
        )
        assert "read noise cannot be told, since black is not known" in sentence(dark)
        hidden = parameter(plane, "read_noise", **{**none, "low": 0.0, "high": 1e-3}, flag="below_floor", present=0.1)
        assert "at all signals" not in sentence(hidden)
        assert "if not everywhere" in sentence(hidden)

    def test_without_light_s_own_noise(self, sentence, make_plane):
        silent = make_plane(values={"shot_gain": None})
        assert sentence(silent).startswith("Read-noise limited: no noise that grows with the signal")
        coarse = {"shot_gain": None, "read_noise": None, "quantisation": 0.02}
        assert sentence(make_plane(values=coarse)).startswith("The step between the codes in use limits")
        none = make_plane(values={"shot_gain": None, "read_noise": None})
        assert sentence(none).startswith("Neither shot nor read noise was found")

    def test_doubts_are_said_and_shake_the_sentence(self, make_footprint):
        shaken = make_footprint(flags=("misfit",), warnings=("the noise does not follow the law that was fitted: x",))
        assert summary.sentence(shaken).startswith("As fitted, shot-noise limited")
        assert summary.doubts(shaken) == ["The noise does not follow the law that was fitted: x"]
        assert "unlike those" in summary.doubts(make_footprint(flags=("out_of_domain",)))[0]

    @pytest.mark.parametrize("flag", FLAGS)
    def test_every_flag_is_in_words_or_in_the_nature_of_the_file(self, make_footprint, flag):
        elsewhere = {"below_floor", "weakly_identified", "rendered", "empty"}
        assert (flag in elsewhere) != bool(summary.doubts(make_footprint(flags=(flag,))))

    def test_an_empty_picture(self, make_footprint, make_plane):
        plane = make_plane(
            flags=("empty",),
            curve=make_plane().curve[:1],
            parameters=tuple(
                Estimate(e.name, None, None, None, None, "weakly_identified") for e in make_plane().parameters
            ),
        )
        words = "all pixels are equal: there is no noise to see"
        shown = make_footprint(planes=(plane,), flags=("empty",), warnings=(words,))
        assert text_of(shown).lower().count(words) == 1
        assert "sigma" not in text_of(shown)
        assert len(lines_of(shown)) <= 8

    def test_no_noise_was_found(self, make_footprint, make_plane):
        plane = make_plane(values={"shot_gain": None, "read_noise": None, "row_noise": None})
        plane = replace(plane, curve=tuple(replace(p, low=0.0, high=1e-4) for p in plane.curve))
        said = summary.sentence(make_footprint(planes=(plane,)))
        assert said == "No noise was found: sigma is at most 1.6 DN."

    def test_processed_pictures_have_no_electrons(self, make_footprint, make_plane, rendered):
        plane = make_plane(law=PROCESSED, light=LightLaw("processed", 0.99))
        shown = make_footprint(
            planes=(plane,), domain="rendered", rendered=rendered(), flags=("denoised", "rendered"), cfa_plane_colors=()
        )
        text = text_of(shown)
        assert "Processing has changed the noise, so there are no electrons to count" in text
        assert not re.search(r"\de-(?!\d)|\d e-|/e-|e-/", text)
        assert "It was denoised (probability 95 %; flagged above 93 %)" in text
        assert "mid-grey" not in text  # of 18 % of the codes, which are no light

    @pytest.mark.parametrize("law", ["speckle", "rician", "grain"])
    def test_other_laws_of_light(self, make_footprint, make_plane, law):
        plane = make_plane(light=LightLaw(law, 0.9), values={"shot_gain": None})
        warning = summary.NOT_PIXEL_LAWS[law]
        shown = make_footprint(planes=(plane,), warnings=(warning[:1].lower() + warning[1:],))
        assert " ".join(text_of(shown).split()).count("there are no electrons to count") == 1

    def test_of_several_channels_it_says_whose(self, make_footprint, make_plane):
        channels = ("DAPI", "GFP")
        own = (make_plane(c, channel=c, signal_median=0.1 * n) for n, c in enumerate(channels, 1))
        planes = (*own, *(make_plane("all", channel=c) for c in channels))
        shown = make_footprint(planes=planes, domain="linear", cfa_plane_colors=())
        assert summary.sentence(shown).startswith("Channel GFP: shot-noise limited")
        assert "each at its own median signal: DAPI" in " ".join(text_of(shown).split())

    def test_frames_are_summed_up(self, make_footprint, make_plane):
        planes = (*(make_plane("gray", frame=n) for n in range(12)), make_plane("all"))
        text = text_of(make_footprint(planes=planes, domain="linear", cfa_plane_colors=()))
        assert "sigma of the 12 frames" in text
        assert "frame 3" not in text

    def test_own_names_and_words_are_rows(self, make_footprint, make_plane):
        plane = make_plane()
        own = (
            Estimate("full_well", 4000.0, 3500.0, 4600.0, None, unit="ke-"),
            Estimate("scanner", None, None, None, None, word="old one"),
        )
        text = text_of(make_footprint(planes=(replace(plane, parameters=(*plane.parameters, *own)),)))
        assert "full well" in text
        assert "ke-" in text
        assert "old one" in text


@given(st.floats(1e-12, 1e12), st.floats(1e-4, 0.99), st.floats(1e-4, 30))
def test_a_value_stays_inside_of_its_interval(value, below, above):
    low, high = value * (1 - below), value * (1 + above)
    shown, bounds = by_interval(value, low, high)
    ends = [float(end) for end in bounds.split(" .. ")]
    assert ends[0] <= float(shown) <= ends[1]
    for end, true in zip((*ends, float(shown)), (low, high, value), strict=True):
        assert abs(end - true) <= 0.051 * (high - low) + 1e-9 * value  # two digits of the width are kept


@pytest.mark.parametrize(
    ("low", "value", "high", "shown"),
    [
        (1.32e-4, 1.503e-4, 1.714e-4, ("1.50e-4", "1.32e-4 .. 1.71e-4")),
        (5.9, 13.8, 16.3, ("14", "5.9 .. 16")),
        (0.0, 0.5, 1.0, ("0.50", "0 .. 1.0")),
        (9.996, 10.0, 10.004, ("10.0000", "9.9960 .. 10.0040")),
        (2.0, 2.0, 2.0, ("2.0", "")),
        (None, 47619.0, None, ("48000", "")),
    ],
)
def test_the_rule_of_two_digits(low, value, high, shown):
    assert by_interval(value, low, high) == shown


def test_details_still_have_everything(footprint, rendered, make_footprint, make_plane):
    out = io.StringIO()
    Console(file=out, width=80).print(table.render(footprint))
    for word in ("noise curve of all", "parameters", "planes", "DNG NoiseProfile", "90 % interval", "from 50 %"):
        assert word in out.getvalue()
    seen = make_footprint(planes=(make_plane(law=PROCESSED),), domain="rendered", rendered=rendered())
    Console(file=out, width=80).print(table.render(seen))
    assert "not flagged (from 80 %)" in out.getvalue()


def test_the_sentence_holds_for_every_mixture(make_footprint, make_plane):
    """Any kinds present or absent: no exception, one sentence, electrons only where the gain is known."""
    for kinds in itertools.product((None, 1e-3), repeat=4):
        names = ("shot_gain", "read_noise", "multiplicative", "column_noise")
        plane = make_plane(values=dict(zip(names, kinds, strict=True)))
        shown = make_footprint(planes=(plane,), cfa_plane_colors=())
        said = summary.sentence(shown)
        assert said.endswith(".")
        assert ("e-/DN" in said) == (shown.derived.conversion_gain.value is not None)
        assert ("columns add" in said) == bool(shown.structure.column_share)
        assert len(lines_of(shown)) <= 40
