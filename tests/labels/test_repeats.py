"""Repeats: what was planted comes back, and frames that are no repeats are told."""

from __future__ import annotations

import numpy as np
import pytest

from noisediag.errors import UnsupportedError
from noisediag.images import from_array
from noisediag.labels import repeats
from noisediag.labels.bursts import from_stack

S = READ = 0.01


def law(footprint):
    """S and variance at black, of planted ones."""
    own = footprint.planes[-1].law
    return own.shot / S, own.intercept / READ**2


class TestSensor:
    def test_gain_and_variance_at_black_within_3_percent(self, leaves, stack):
        footprint = from_stack(stack([leaves] * 20))
        shot, dark = law(footprint)
        assert shot == pytest.approx(1, abs=0.03)
        assert dark == pytest.approx(1, abs=0.03)
        for name, planted in (("shot_gain", S), ("read_noise", READ)):
            found = footprint[name]
            assert found.low < planted < found.high
            assert found.high / found.low < 1.15
        for name in ("multiplicative", "impulse", "row_noise", "column_noise", "correlation"):
            assert footprint[name].value is None
            assert footprint[name].flag == "below_floor"
        assert footprint.measurement.frames_used == footprint.measurement.frames == 20
        assert not footprint.rejected

    def test_the_curve_is_that_of_the_law(self, leaves, stack):
        footprint = from_stack(stack([leaves[:256, :256]] * 8))
        for point in footprint.curve:
            truth = np.sqrt(S * max(point.signal, 0) + READ**2)
            assert point.low <= point.sigma <= point.high
            assert point.sigma == pytest.approx(truth, rel=0.03)

    def test_bleaching_is_removed_and_told(self, leaves, stack):
        footprint = from_stack(stack([leaves * (1 - 0.05 * t / 19) for t in range(20)]))
        assert law(footprint)[0] == pytest.approx(1, abs=0.05)
        change = footprint.measurement.quantities[0]
        assert (change.symbol, change.unit) == ("brightness_change", "%")
        assert change.value == pytest.approx(-5, abs=0.5)

    def test_flicker_is_removed_and_told(self, leaves, stack):
        factors = 1 + 0.02 * np.random.default_rng(0).standard_normal(12)
        footprint = from_stack(stack([np.clip(leaves[:256, :256] * f, 0, 1) for f in factors]))
        assert law(footprint)[0] == pytest.approx(1, abs=0.03)
        assert footprint.measurement.quantities[1].value == pytest.approx(2, rel=0.5)

    @pytest.mark.parametrize(
        ("name", "planted", "tolerance"),
        [
            ("row_noise", 0.02, 0.1),
            ("column_noise", 0.02, 0.1),
            ("correlation", 1.0, 0.05),
            ("multiplicative", 0.2, 0.05),
        ],
    )
    def test_other_noises_are_measured_and_leave_the_gain_alone(self, leaves, stack, name, planted, tolerance):
        footprint = from_stack(stack([leaves[:256, :256]] * 8, **{name: planted}))
        found = footprint[name]
        assert found.value == pytest.approx(planted, rel=tolerance)
        assert found.low < found.value < found.high
        assert law(footprint)[0] == pytest.approx(1, abs=0.06)

    def test_impulses_that_stand_out_are_measured_and_kept_from_the_variance(self, leaves, stack):
        frames = [leaves[:256, :256]] * 8
        footprint = from_stack(stack(frames, shot_gain=1e-4, read_noise=0.005, impulse=0.02, salt_share=0.5))
        assert footprint["impulse"].value == pytest.approx(0.02, rel=0.1)
        assert footprint.planes[-1].law.shot == pytest.approx(1e-4, rel=0.05)
        assert any("impulses" in warning for warning in footprint.warnings)

    def test_hardly_any_noise(self, leaves, stack):
        footprint = from_stack(stack([leaves[:256, :256]] * 8, shot_gain=1e-6, read_noise=1e-4))
        assert footprint["shot_gain"].value == pytest.approx(1e-6, rel=0.05)

    def test_no_noise_at_all(self, leaves):
        codes = np.rint(leaves[:64, :64] * 1000).astype(np.uint16)
        with pytest.raises(UnsupportedError, match="identical"):
            from_stack(from_array(np.stack([codes] * 3), black=0, white=1000))


class TestRejection:
    def test_a_drift_of_one_pixel(self, leaves, stack):
        frames = [np.roll(leaves, t, axis=1)[:256, 64:320] for t in range(4)]
        with pytest.raises(
            UnsupportedError, match=r"frame 0 and frame 1: the scene moves, by about [\d.]+ px .*2 more"
        ):
            from_stack(stack(frames))

    def test_one_step_leaves_the_other_pairs(self, leaves, stack):
        frames = [leaves[:256, 64:320]] * 6 + [leaves[:256, 63:319]] * 6
        footprint = from_stack(stack(frames))
        (rejected,) = footprint.rejected
        assert rejected.what == "frame 5 and frame 6"
        assert "moves" in rejected.reason
        assert footprint.measurement.frames_used == 12
        assert law(footprint)[0] == pytest.approx(1, abs=0.03)

    def test_another_scene_a_lamp_and_a_repeated_frame(self, leaves, stack):
        first, other = leaves[:256, :256], leaves[256:, 256:]
        codes = [first] * 4 + [other] + [first * 0.5] + [first] * 6
        image = stack(codes)
        frames = [plane.load() for plane in image.planes]
        frames[9] = frames[8]
        footprint = from_stack(from_array(np.stack(frames), black=6000, white=65535))
        reasons = {one.what: one.reason for one in footprint.rejected}
        assert set(reasons) == {f"frame {a} and frame {a + 1}" for a in (3, 4, 5, 8)}
        assert reasons["frame 8 and frame 9"] == "identical"
        assert "brightness" in reasons["frame 5 and frame 6"]
        assert law(footprint)[0] == pytest.approx(1, abs=0.04)

    def test_saturated_frames(self, leaves, stack):
        with pytest.raises(UnsupportedError, match="saturated"):
            from_stack(stack([np.clip(leaves[:128, :128] + 0.9, 0, 1.0)] * 3))

    def test_a_part_that_moves_is_left_out(self, leaves, stack):
        frames = []
        for t in range(10):
            frame = leaves[:256, :256].copy()
            frame[40:70, 40 + 3 * t : 70 + 3 * t] = 0.9
            frames.append(frame)
        footprint = from_stack(stack(frames))
        assert any("of the picture" in one.what for one in footprint.rejected)
        assert law(footprint)[0] == pytest.approx(1, abs=0.05)

    def test_sizes_that_differ_and_single_pictures(self, stack, leaves):
        planes = [stack([leaves[:size, :size]]).planes[0] for size in (32, 48)]
        with pytest.raises(UnsupportedError, match="48 x 48 px, frame 0 32 x 32 px"):
            repeats.measure(planes, np.random.default_rng(0))
        with pytest.raises(UnsupportedError, match="single picture"):
            from_stack(stack([leaves[:32, :32]]))
        with pytest.raises(UnsupportedError, match="16 x 16"):
            from_stack(stack([leaves[:8, :8]] * 2))


class TestFew:
    def test_two_frames_have_wide_intervals_that_hold(self, leaves, stack):
        footprint = from_stack(stack([leaves[:128, :128]] * 2))
        found = footprint["shot_gain"]
        assert found.low < S < found.high
        assert found.high / found.low > 1.02

    def test_a_tiny_stack_says_so(self, leaves, stack):
        footprint = from_stack(stack([leaves[100:132, 100:132]] * 4))
        assert "few_pixels" in footprint.flags
        assert footprint["shot_gain"].low <= S <= footprint["shot_gain"].high

    def test_without_black_there_is_no_read_noise(self, leaves, stack):
        frames = [plane.load() for plane in stack([leaves[:256, :256]] * 6).planes]
        footprint = from_stack(from_array(np.stack(frames)))
        assert footprint["read_noise"].flag == "weakly_identified"
        assert footprint["shot_gain"].value_dn == pytest.approx(S * (65535 - 6000), rel=0.03)
        assert "assumed_scale" in footprint.flags

    def test_read_noise_alone_shows_no_gain_without_black(self):
        generator = np.random.default_rng(0)
        frames = np.rint(500 + 4.8 * generator.standard_normal((5, 128, 128))).astype(np.uint16)
        footprint = from_stack(from_array(frames))
        assert footprint["shot_gain"].value is None
        assert footprint["shot_gain"].flag == "weakly_identified"
        sigma = footprint.sigma(footprint.planes[-1].signal_median) * 65535
        assert sigma == pytest.approx(4.8, rel=0.02)

    def test_a_rerun_gives_the_same(self, leaves, stack):
        image = stack([leaves[:64, :64]] * 3)
        assert from_stack(image).to_dict() == from_stack(image).to_dict()
