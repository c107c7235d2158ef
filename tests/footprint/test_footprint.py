import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest

from noisediag.footprint.derived import arrange, derive, noise_profile
from noisediag.footprint.plane import FLAGS, CurvePoint, VarianceLaw
from noisediag.reports.document import path_fields
from noisediag.traces.lines_and_waves import Arrangement


def without(plane, **values):
    """`plane` with the named parameters null (present or not as given)."""
    null = {"value": None, "low": None, "high": None, "value_dn": None, "low_dn": None, "high_dn": None, "flag": None}
    parameters = tuple(replace(e, **null, present=values[e.name]) if e.name in values else e for e in plane.parameters)
    return replace(plane, parameters=parameters)


class TestVarianceLaw:
    def test_follows_the_formula(self):
        law = VarianceLaw(shot=1e-3, intercept=4e-6, square=0.01, floor=1e-7)
        assert law.sigma(0.5) == pytest.approx(math.sqrt(5e-4 + 4e-6 + 0.0025))

    def test_never_falls_below_the_quantisation_floor(self):
        law = VarianceLaw(shot=1e-3, intercept=-1e-4, square=0.0, floor=1e-6)
        assert law.sigma(0.01) == pytest.approx(1e-3)

    def test_takes_arrays(self):
        law = VarianceLaw(shot=1e-3, intercept=0.0, square=0.0, floor=0.0)
        np.testing.assert_allclose(law.sigma(np.array([[0.1, 0.4]])), [[0.01, 0.02]])


class TestDerived:
    def test_electrons_of_a_raw_file(self, footprint):
        derived = footprint.derived
        scale = 16383 - 512
        assert derived.K.value == pytest.approx(2.1e-5 * scale)
        assert derived.conversion_gain.value == pytest.approx(1 / (2.1e-5 * scale))
        assert derived.conversion_gain.low == pytest.approx(1 / derived.K.high)
        assert derived.conversion_gain.high == pytest.approx(1 / derived.K.low)
        assert derived.read_noise_e == pytest.approx(5e-5 / 2.1e-5)
        assert derived.sigma_d.low == pytest.approx(4.5e-5 / 2.31e-5)
        assert derived.electrons_at_white == pytest.approx(1 / 2.1e-5)
        assert derived.dynamic_range_stops == pytest.approx(math.log2(1 / 5e-5))

    def test_decibels(self, footprint):
        sigma = math.sqrt(2.1e-5 * 0.18 + 25e-10)
        assert footprint.derived.sigma_at_18pct == pytest.approx(sigma)
        assert footprint.derived.snr_db_at_18pct == pytest.approx(20 * math.log10(0.18 / sigma))
        sigma = math.sqrt(2.1e-5 * 0.1 + 25e-10)
        assert footprint.derived.snr_db_at_median == pytest.approx(20 * math.log10(0.1 / sigma))

    def test_rendered_pictures_have_no_electrons(self, make_footprint):
        derived = make_footprint(domain="rendered").derived
        assert derived.K.value is derived.conversion_gain.value is derived.read_noise_e is None
        assert derived.electrons_at_white is derived.dynamic_range_stops is derived.dng_noise_profile is None
        assert derived.PRNU1288.value is None
        assert derived.sigma_at_18pct > 0

    def test_unknown_white_leaves_the_gain(self, make_plane):
        derived = derive(make_plane(white_known=False), domain="linear")
        assert derived.electrons_at_white is derived.dynamic_range_stops is None
        assert derived.K.value > 0
        assert derived.read_noise_e > 0

    def test_unknown_offset_leaves_no_signal_to_noise_ratio(self, make_footprint, make_plane):
        plane = without(make_plane(offset_known=False, white_known=False), read_noise=0.9)
        derived = make_footprint(planes=(plane,), domain="linear", cfa_plane_colors=()).derived
        assert derived.snr_db_at_18pct is derived.read_noise_e is derived.dng_noise_profile is None
        assert derived.K.value > 0

    def test_unidentified_shot_gain_is_no_gain(self, make_plane):
        derived = derive(without(make_plane(), shot_gain=0.9), domain="raw-linear")
        assert derived.K.value is derived.conversion_gain.value is derived.read_noise_e is None
        assert derived.electrons_at_white is None

    def test_read_noise_below_the_floor_has_a_limit_in_electrons(self, make_plane):
        derived = derive(make_plane(values={"read_noise": None}), domain="raw-linear")
        assert derived.read_noise_e is None
        assert derived.sigma_d.low == 0
        assert derived.sigma_d.high == pytest.approx(3e-5 / (2.1e-5 * 0.9))

    def test_prnu_is_the_multiplicative_part_in_percent(self, make_plane):
        derived = derive(make_plane(values={"multiplicative": 0.02}), domain="raw-linear")
        assert derived.PRNU1288.value == pytest.approx(2.0)
        assert derived.PRNU1288.unit == "%"


class TestNoiseProfile:
    def test_one_pair_a_colour_with_the_greens_pooled(self, make_footprint, make_plane):
        laws = {"R": 1e-5, "G1": 2e-5, "G2": 4e-5, "B": 5e-5, "all": 3e-5}
        planes = tuple(make_plane(name, values={"shot_gain": shot}) for name, shot in laws.items())
        profile = make_footprint(planes=planes, cfa_plane_colors=("R", "G", "B")).derived.dng_noise_profile
        np.testing.assert_allclose(profile, [(1e-5, 25e-10), (3e-5, 25e-10), (5e-5, 25e-10)])

    def test_planes_of_one_xtrans_colour_are_one(self, make_footprint, make_plane):
        planes = tuple(make_plane(name) for name in ("R", "G", "B", "all"))
        assert len(make_footprint(planes=planes).derived.dng_noise_profile) == 3

    def test_one_pair_without_colours(self, make_footprint, make_plane):
        planes = (make_plane("gray"), make_plane("all"))
        profile = make_footprint(planes=planes, cfa_plane_colors=()).derived.dng_noise_profile
        np.testing.assert_allclose(profile, [(2.1e-5, 25e-10)])

    def test_no_tag_when_a_colour_was_not_measured(self, make_footprint, make_plane):
        assert make_footprint(planes=(make_plane("R"), make_plane("all"))).derived.dng_noise_profile is None

    def test_a_multiplicative_part_is_taken_up_by_the_line(self, make_plane):
        plane = make_plane(values={"multiplicative": 0.01})
        shot, offset = noise_profile([plane])
        assert shot > plane.law.shot
        signals = np.array([point.signal for point in plane.curve])
        error = (shot * signals + offset) / plane.law.sigma(signals) ** 2 - 1
        slope_up = (1.05 * shot * signals + offset) / plane.law.sigma(signals) ** 2 - 1
        assert offset >= plane.law.floor
        assert (error**2).sum() < (slope_up**2).sum()


class TestStructure:
    def test_shares_of_the_total_variance(self, make_plane):
        plane = make_plane(values={"row_noise": 1e-3, "column_noise": 2e-3})
        structure = arrange(plane)
        total = plane.law.sigma(0.1) ** 2 + 1e-6 + 4e-6
        assert structure.row_share == pytest.approx(1e-6 / total)
        assert structure.column_share == pytest.approx(4e-6 / total)

    def test_absent_is_zero_and_unknown_is_none(self, make_plane):
        absent = arrange(without(make_plane(), column_noise=0.1, correlation=0.05))
        assert absent.column_share == absent.lag1_h == absent.lag1_v == 0
        below = tuple(
            replace(e, value=None, present=None, flag="below_floor") if e.name == "correlation" else e
            for e in make_plane().parameters
        )  # as in a processed picture, of which no probability is estimated
        assert arrange(replace(make_plane(), parameters=below)).lag1_h == 0
        unknown = arrange(without(make_plane(), column_noise=0.9, correlation=None))
        assert unknown.row_share is unknown.column_share is unknown.lag1_h is None

    def test_the_amount_is_that_of_the_pixels(self, make_plane):
        plane = make_plane(arrangement=Arrangement(1e-3, 0.0, 0.02))
        structure = arrange(plane)
        assert structure.row_share == pytest.approx(1e-6 / (plane.law.sigma(0.1) ** 2 + 1e-6))
        assert (structure.column_share, structure.periodic_share) == (0, 0.02)
        assert structure.pixel_independent is False
        assert "2 % periodic" in structure.verdict

    def test_noise_is_independent_where_all_of_it_was_looked_for(self, make_plane):
        quiet = {"row_noise": None}
        looked = arrange(make_plane(values=quiet, arrangement=Arrangement(0.0, 0.0, 0.0)))
        assert looked.pixel_independent is True
        assert "Noise2Void" in looked.verdict
        unseen = arrange(make_plane(values=quiet))
        assert unseen.pixel_independent is None
        assert "periodic noise is not seen" in unseen.verdict

    def test_a_noise_that_the_table_calls_absent_is_no_finding(self, make_plane):
        quiet = {"row_noise": None}
        limit = make_plane(values=quiet)["row_noise"].high
        traces = arrange(make_plane(values=quiet, arrangement=Arrangement(0.5 * limit, 0.0, 0.0)))
        assert (traces.row_share, traces.pixel_independent) == (0, True)
        doubtful = make_plane(arrangement=Arrangement(1e-4, 0.0, 0.0))
        doubtful = replace(
            doubtful,
            parameters=tuple(replace(e, present=0.2) if e.name == "row_noise" else e for e in doubtful.parameters),
        )
        assert arrange(doubtful).row_share == 0

    def test_pixels_and_table_that_disagree_leave_it_open(self, make_plane):
        structure = arrange(make_plane(values={"row_noise": None}, arrangement=Arrangement(1e-3, 0.0, 0.0)))
        assert structure.row_share is structure.pixel_independent is None
        unknown = without(make_plane(arrangement=Arrangement(1e-3, 0.0, 0.0)), row_noise=None)
        assert arrange(unknown).row_share is arrange(unknown).pixel_independent is None

    @pytest.mark.parametrize("flags", [("empty",), ()])
    def test_no_verdict_where_no_noise_was_found(self, make_plane, flags):
        silent = tuple(replace(point, low=0.0 if not flags else point.low) for point in make_plane().curve)
        values = {"shot_gain": None, "read_noise": None, "row_noise": 1e-4 if flags else None}
        plane = make_plane(values=values, curve=silent, flags=flags, arrangement=Arrangement(0.0, 0.0, 0.0))
        structure = arrange(plane)
        assert not structure.noise_found
        assert structure.pixel_independent is structure.row_share is structure.correlated_share is None
        assert "No noise was found" in structure.verdict

    def test_rows_alone_are_noise(self, make_plane):
        silent = tuple(replace(point, low=0.0) for point in make_plane().curve)
        plane = make_plane(values={"shot_gain": None, "read_noise": None}, curve=silent)
        assert arrange(plane).pixel_independent is False

    def test_white_noise_beside_correlated_one_counts(self, make_plane):
        values = {"row_noise": None, "correlation": 1.0}
        whole, half = (arrange(make_plane(values=values, correlated_share=share)) for share in (None, 0.5))
        assert half.lag1_h == pytest.approx(0.5 * whole.lag1_h)
        assert half.correlated_share == pytest.approx(0.5 * whole.correlated_share)

    def test_correlated_noise_is_shared_with_neighbours(self, make_plane):
        structure = arrange(make_plane(values={"row_noise": None, "correlation": 1.0}))
        assert 0.5 < structure.correlated_share < 1
        assert structure.pixel_independent is False


class TestFootprint:
    def test_the_last_plane_speaks_for_the_file(self, make_footprint, make_plane):
        footprint = make_footprint(planes=(make_plane("R", values={"shot_gain": 1e-3}), make_plane("all")))
        assert footprint["shot_gain"].value == 2.1e-5
        assert footprint.sigma(0.18) == footprint.planes[-1].law.sigma(0.18)
        assert footprint.curve is footprint.planes[-1].curve

    def test_an_unknown_name_says_what_there_is(self, footprint):
        with pytest.raises(KeyError, match="shot_gain"):
            footprint["shotgain"]

    def test_flags_are_closed_and_distinct(self):
        assert len(set(FLAGS)) == len(FLAGS) == 18


class TestDictionary:
    def test_keys_and_their_order(self, footprint):
        image = footprint.to_dict()
        assert list(image) == (
            "path sha256 status reader domain acquisition planes derived structure".split()
            + "rendered uneven flags warnings".split()
        )
        keys = "name frame shape bit_depth black_dn white_dn scale_source curve parameters".split()
        assert list(image["planes"][0])[: len(keys)] == keys
        assert list(image["planes"][0]["parameters"][0]) == (
            "name symbol unit value low high value_dn low_dn high_dn level present flag".split()
        )

    def test_six_significant_digits_and_no_nan(self, make_footprint, make_plane):
        curve = (CurvePoint(0.123456789, math.inf, 1 / 3, math.nan),)
        image = make_footprint(planes=(make_plane(curve=curve),), acquisition={"ISO": np.float32("nan")}).to_dict()
        assert image["planes"][0]["curve"] == [{"signal": 0.123457, "sigma": None, "low": 0.333333, "high": None}]
        assert image["acquisition"] == {"ISO": None}
        json.dumps(image, allow_nan=False)

    def test_foreign_types_of_tags_become_plain(self, make_footprint):
        tags = {"ISO": np.int64(400), "NoiseProfile": (2.1e-5, 2.9e-9), "Artist": "caf\udce9", "Black": np.arange(2)}
        assert make_footprint(acquisition=tags).to_dict()["acquisition"] == {
            "ISO": 400,
            "NoiseProfile": [2.1e-5, 2.9e-9],
            "Artist": "caf\\udce9",
            "Black": [0, 1],
        }

    def test_names_that_are_not_utf8_keep_their_bytes(self):
        assert path_fields("é.tif") == {"path": "é.tif"}
        fields = path_fields(os.fsdecode(b"a\xff.tif"))
        assert fields == {"path": "a\\xff.tif", "path_bytes": "Yf8udGlm"}


def test_a_plane_is_called_by_channel_name_and_frame(make_plane):
    assert make_plane("R", channel="R").label == "R"
    assert make_plane("all", channel="GFP").label == "GFP all"
    assert make_plane("gray", frame=0).label == "gray frame 0"


def test_the_noise_profile_never_holds_a_negative_offset(make_plane):
    steep = VarianceLaw(shot=1e-4, intercept=-2e-7, square=0.0, floor=1e-8)  # what a given gain may leave
    shot, offset = noise_profile([make_plane(law=steep)])
    assert offset == pytest.approx(1e-8)
    assert 0 < shot < 1e-4


def test_the_noise_profile_of_a_dark_frame_has_no_negative_slope(make_plane):
    law = VarianceLaw(shot=0.0, intercept=2e-6, square=0.4, floor=0.0)
    curve = tuple(CurvePoint(x, law.sigma(x), 0.0, 1.0) for x in np.linspace(-3e-3, 1e-3, 16).tolist())
    shot, offset = noise_profile([make_plane(law=law, curve=curve)])
    assert shot == 0
    assert 2e-6 < offset < 6e-6
