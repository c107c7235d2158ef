"""`advise`: photons and SNR of simulated two-photon stacks come back, and the laws of the routes are exact."""

import itertools
import json
import math

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage
from typer.testing import CliRunner

from noisediag.cli import app
from noisediag.errors import UnsupportedError, UsageError
from noisediag.estimator import Estimator
from noisediag.genome import scenes
from noisediag.studies.advise.advice import FRAMES, advise
from noisediag.studies.advise.light import Light, brightness_for, frames_for, pays_until, power_for
from noisediag.studies.advise.protocol import exponents
from noisediag.studies.advise.result import AdviseOptions

GAIN, READ_DN, OFFSET_DN = 20.0, 10.0, 200.0  # DN a photon


def light_of(scene, photons, size=256):
    """The clean light (size, size) in photons a pixel and frame, 0 to `photons`."""
    clean = scenes.make(1, size, torch.Generator().manual_seed(3), kinds=(scene,))[0].double().numpy()
    return clean * photons


def frames_of(light, count, *, excess=1.0, pattern=0.0, seed=0):
    """Frames whose photons are counted, multiplied by a random gain of variance `excess` - 1, and read."""
    generator = np.random.default_rng(seed)
    light = light * (1 + pattern * generator.standard_normal(light.shape))
    frames = []
    for _ in range(count):
        counted = generator.poisson(np.maximum(light, 0)).astype(float)
        if excess > 1:
            shape = 1 / (excess - 1)
            counted = np.where(counted > 0, generator.gamma(np.maximum(counted * shape, 1e-9), 1 / shape), 0)
        frames.append(OFFSET_DN + GAIN * counted + generator.normal(0, READ_DN, light.shape))
    return np.clip(np.rint(frames), 0, 65535).astype(np.uint16)


@pytest.fixture(scope="module")
def estimator():
    return Estimator(device="cpu")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A PMT's stack of 16 frames, 30 photons at most, excess noise factor 1.3."""
    path = tmp_path_factory.mktemp("advise") / "stack.tif"
    tifffile.imwrite(path, frames_of(light_of("tissue", 30), 16, excess=1.3))
    return path


def level(advice, name):
    return next(level for level in advice.levels if level.name == name)


class TestStacks:
    @pytest.mark.acceptance
    def test_photons_and_the_snr_of_the_mean_of_n(self, estimator, tmp_path, sized, say):
        """16 frames foretell the SNR of the mean of 1 to 64, as it is where pixels are as bright as the peak."""
        cases = [("tissue", 1.3), ("photo", 2.0), ("fluorescence", 1.0)]
        kinds = ("tissue", "photo", "fluorescence", "retina", "satellite", "anatomy")
        photons_off, snr_off = [], []
        for scene, excess in sized(cases, list(itertools.product(kinds, (1.0, 1.3, 1.6, 2.0)))):
            light = light_of(scene, 30, size=384)
            frames = frames_of(light, 64, excess=excess)
            tifffile.imwrite(tmp_path / "a.tif", frames[:16])
            advice = advise(tmp_path / "a.tif", AdviseOptions(black=OFFSET_DN, excess_noise=excess), estimator)
            assert advice.how == "measured"
            assert not advice.effective
            assert advice.read_noise_e.value == pytest.approx(READ_DN / GAIN, rel=0.5)  # there is little darkness
            peak = level(advice, "peak")
            true = (peak.signal_dn - OFFSET_DN) / GAIN
            photons_off.append(abs(peak.photons.value / true - 1))
            alike = np.abs(light / true - 1) < 0.1
            assert alike.sum() > 500
            for average in advice.averages:
                assert average.frames in FRAMES
                means = frames[:, alike].reshape(-1, average.frames, alike.sum()).mean(axis=1)
                measured = light[alike].mean() / np.sqrt(np.mean(((means - OFFSET_DN) / GAIN - light[alike]) ** 2))
                snr_off.append(abs(average.snr.value / measured - 1))
        worst = f"photons off by {max(photons_off):.1%} or less, SNR by {max(snr_off):.1%}"
        say(f"advise: {len(photons_off)} stacks, {worst}")
        assert max(photons_off) <= 0.05
        assert max(snr_off) <= 0.1

    def test_without_the_factor_photons_are_effective(self, estimator, stack):
        advice = advise(stack, AdviseOptions(black=OFFSET_DN), estimator)
        assert advice.effective
        assert advice.gain.value == pytest.approx(1.3 * GAIN, rel=0.05)
        known = advise(stack, AdviseOptions(black=OFFSET_DN, excess_noise=1.3), estimator)
        ratio = level(known, "peak").photons.value / level(advice, "peak").photons.value
        assert ratio == pytest.approx(1.3, rel=1e-6)
        assert level(known, "peak").snr == level(advice, "peak").snr  # whatever the photons are called
        assert not advise(stack, AdviseOptions(black=OFFSET_DN, detector="scmos"), estimator).effective

    def test_an_unknown_offset_is_where_the_variance_vanishes(self, estimator, stack):
        advice = advise(stack, AdviseOptions(), estimator)
        assert advice.offset_source == "vanishing"
        assert advice.offset_dn == pytest.approx(OFFSET_DN - READ_DN**2 / (1.3 * GAIN), abs=4)
        assert advice.read_noise_e.value is None

    def test_bleaching_is_seen_and_does_not_count_as_noise(self, estimator, tmp_path):
        light = light_of("tissue", 30)
        frames = [frames_of(light * 0.98**time, 1, seed=time)[0] for time in range(16)]
        tifffile.imwrite(tmp_path / "a.tif", np.stack(frames))
        advice = advise(tmp_path / "a.tif", AdviseOptions(black=OFFSET_DN, excess_noise=1.0), estimator)
        assert advice.change_per_frame.value == pytest.approx(-0.02, abs=0.002)
        assert advice.change_per_frame.high < 0
        assert advice.gain.value == pytest.approx(GAIN, rel=0.05)

    def test_a_fixed_pattern_ends_the_gain_of_averaging(self, estimator, tmp_path):
        light = np.tile(np.linspace(100, 400, 256), (256, 1))
        tifffile.imwrite(tmp_path / "a.tif", frames_of(light, 16, pattern=0.1))
        advice = advise(tmp_path / "a.tif", AdviseOptions(black=OFFSET_DN, excess_noise=1.0), estimator)
        assert advice.fixed_pattern.value == pytest.approx(0.1, rel=0.2)
        assert advice.averages[-1].snr.value < 1 / advice.fixed_pattern.value
        assert advice.pays_until < 16

    def test_one_picture_is_estimated(self, estimator, tmp_path):
        light = np.tile(np.linspace(0, 400, 512), (512, 1))
        tifffile.imwrite(tmp_path / "a.tif", frames_of(light, 1)[0])
        advice = advise(tmp_path / "a.tif", AdviseOptions(black=OFFSET_DN, detector="ccd"), estimator)
        assert (advice.how, advice.frames) == ("estimated", 1)
        peak = level(advice, "peak")
        assert peak.photons.value == pytest.approx((peak.signal_dn - OFFSET_DN) / GAIN, rel=0.15)
        assert peak.photons.low < (peak.signal_dn - OFFSET_DN) / GAIN < peak.photons.high
        assert peak.limit == "shot"

    def test_no_light_no_gain(self, estimator, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", frames_of(np.zeros((256, 256)), 5))
        advice = advise(tmp_path / "a.tif", AdviseOptions(black=OFFSET_DN - 5), estimator)
        assert advice.gain.value is None
        assert any("does not rise with the light" in warning for warning in advice.warnings)
        assert {level.photons.value for level in advice.levels} == {None}
        found = level(advice, "median")  # the SNR needs no gain: 5 DN of light over the read noise
        assert found.snr.value == pytest.approx((found.signal_dn - OFFSET_DN + 5) / READ_DN, rel=0.05)
        with pytest.raises(UnsupportedError, match="no gain"):
            advise(tmp_path / "a.tif", AdviseOptions(black=OFFSET_DN - 5, sky=True, exposure_s=1.0), estimator)
        with pytest.raises(UsageError, match="no gain"):
            exponents([advice, advice], (1.0, 2.0), ())


class TestVetoes:
    """Frames that are no repeats of photons: the gain is withheld, or that before what was done to them."""

    def advice(self, estimator, folder, frames, **options):
        path = folder / "a.tif"
        axes = options.pop("axes", "TYX")
        tifffile.imwrite(
            path,
            np.clip(np.rint(frames), 0, 65535).astype(np.uint16),
            photometric="minisblack",
            metadata={"axes": axes},
        )
        return advise(path, AdviseOptions(**options), estimator)

    def test_interpolation_is_undone(self, estimator, tmp_path):
        generator, frames = np.random.default_rng(1), frames_of(light_of("tissue", 20, size=128), 12)
        moved = [
            ndimage.shift(one.astype(float), generator.uniform(-0.5, 0.5, 2), order=1, mode="nearest") for one in frames
        ]
        advice = self.advice(estimator, tmp_path, moved)
        assert advice.gain.value == pytest.approx(GAIN, rel=0.15)
        assert advice.gain.low < GAIN < advice.gain.high
        assert any("interpolation" in warning for warning in advice.warnings)

    def test_what_blinks_is_no_noise(self, estimator, tmp_path):
        generator = np.random.default_rng(2)
        rows, columns = np.mgrid[:96, :96]
        spots = [
            30 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 1.5**2))
            for y, x in generator.uniform(4, 92, (40, 2))
        ]
        lights = [6 + sum(spot for spot in spots if generator.random() < 0.4) for _ in range(8)]
        frames = np.stack([frames_of(light, 1, seed=n)[0] for n, light in enumerate(lights)])
        advice = self.advice(estimator, tmp_path, frames)
        assert any("blinks" in warning for warning in advice.warnings)
        assert advice.gain.value is None or (advice.how == "estimated" and advice.gain.value < 2 * GAIN)

    def test_frames_averaged_over_time_share_noise(self, estimator, tmp_path):
        frames = frames_of(light_of("leaves", 30, size=128), 10).astype(float)
        advice = self.advice(estimator, tmp_path, (frames[1:] + frames[:-1]) / 2, black=OFFSET_DN)
        assert advice.gain.value is None
        assert {average.snr.value for average in advice.averages} == {None}
        assert any("share noise" in warning for warning in advice.warnings)

    def test_speckle_has_no_photons(self, estimator, tmp_path):
        light, generator = light_of("leaves", 3000, size=128), np.random.default_rng(3)
        frames = OFFSET_DN + light * generator.gamma(4, 1 / 4, (6, *light.shape))
        for options in ({}, {"black": OFFSET_DN}):
            assert self.advice(estimator, tmp_path, frames, **options).gain.value is None

    def test_depths_are_no_repeats(self, estimator, tmp_path):
        frames = frames_of(light_of("leaves", 30, size=128), 4)
        advice = self.advice(estimator, tmp_path, frames, axes="ZYX")
        assert (advice.frames, advice.how) == (1, "estimated")
        assert any("along Z" in warning for warning in advice.warnings)
        both = self.advice(estimator, tmp_path, np.stack([frames, frames[::-1]], axis=1), axes="TZYX")
        assert (both.frames, both.how) == (4, "measured")
        assert both.gain.value == pytest.approx(GAIN, rel=0.1)


class TestRealRepeats:
    """The SNR of real pictures: what the mean of N differs by from the scene, itself the mean of many or flat."""

    @pytest.mark.acceptance
    @pytest.mark.parametrize("gain", [True, False])  # e-/DN, given or not: flat fields hardly show it
    @pytest.mark.parametrize(
        ("pattern", "offset_dn", "gain_e"),
        [
            ("sim12_hci/images/b_s_024*", 29.4, 10.0),
            ("sim12_hci/images/b_010*", 29.4, 10.0),
            ("ccd12_basler/images/b_005*", 14.72, 3.6),
        ],
    )
    def test_flat_fields(self, estimator, shared_data, tmp_path, say, pattern, offset_dn, gain_e, gain):
        paths = sorted((shared_data / "real" / "emva").glob(pattern))
        frames = np.stack([imagecodecs.imread(str(path)) for path in paths]).astype(np.float64)
        tifffile.imwrite(tmp_path / "a.tif", frames.astype(np.uint16))
        options = AdviseOptions(
            black=offset_dn, white=4095, gain=gain_e if gain else None, detector="ccd", level="median"
        )
        advice = advise(tmp_path / "a.tif", options, estimator)
        light = frames.mean() - offset_dn
        for average in advice.averages:
            if average.frames > len(frames):
                break
            means = frames.reshape(-1, average.frames, *frames.shape[1:]).mean(axis=1)
            around = torch.nn.functional.avg_pool2d(torch.from_numpy(means)[:, None], 15, 1)[:, 0].numpy()
            fine = means[:, 7:-7, 7:-7] - around  # without the shading of the lamp
            ratio = average.snr.value * np.sqrt(fine.var() * 225 / 224) / light
            say(f"advise: {pattern}, N = {average.frames}, gain given: {gain}, SNR foretold / measured: {ratio:.3f}")
            assert ratio == pytest.approx(1, abs=0.1)

    @pytest.mark.acceptance
    @pytest.mark.parametrize("name", ["010_0", "020_1", "031_2", "035_1"])
    def test_micrographs(self, estimator, shared_data, say, name):
        """One frame, its noise estimated, and the mean of 400."""
        folder = shared_data / "real" / "micro" / "w2s_fmd" / "w2s"
        noisy, clean = (
            tifffile.imread(folder / f"{kind}_{name}.tif").astype(float) for kind in ("input_avg1", "target_avg400")
        )
        gain, offset = np.polyfit(clean.ravel(), noisy.ravel(), 1)  # each is stretched on its own
        scene = gain * clean + offset
        advice = advise(folder / f"input_avg1_{name}.tif", AdviseOptions(level="median"), estimator)
        level_dn = level(advice, "median").signal_dn
        alike = np.abs(scene / level_dn - 1) < 0.1
        ratio = advice.averages[0].snr.value * np.std((noisy - scene)[alike]) / (scene[alike].mean() - advice.offset_dn)
        say(f"advise: {name}, SNR foretold / measured: {ratio:.3f}")
        assert ratio == pytest.approx(1, abs=0.1)


class TestLaws:
    LIGHT = Light(4.0, 1.0, 0.02)

    def test_snr_of_shot_noise_alone(self):
        assert Light(100.0, 0.0).snr(4) == pytest.approx(20)

    @pytest.mark.parametrize("target", [1.0, 5.0, 30.0])
    def test_frames_reach_the_target_and_one_less_does_not(self, target):
        frames = frames_for(target, self.LIGHT)
        assert self.LIGHT.snr(frames) >= target * (1 - 1e-9)
        assert frames == 1 or self.LIGHT.snr(frames - 1) < target

    @pytest.mark.parametrize("target", [1.0, 5.0, 30.0])
    @pytest.mark.parametrize("order", [1, 2, 3])
    def test_dwell_and_power_reach_it_exactly(self, target, order):
        brightness = brightness_for(target, self.LIGHT)
        power = power_for(brightness, order)
        brighter = Light(self.LIGHT.electrons * power**order, self.LIGHT.read2, self.LIGHT.pattern)
        assert brighter.snr() == pytest.approx(target, rel=1e-12)

    def test_beyond_the_fixed_pattern_nothing_helps(self):
        assert frames_for(50.0, self.LIGHT) is None
        assert brightness_for(50.0, self.LIGHT) is None
        assert pays_until(Light(4.0, 1.0)) is None
        frames = pays_until(self.LIGHT)
        assert self.LIGHT.snr(frames) >= 0.9 / 0.02 > self.LIGHT.snr(frames - 1)


class TestSeriesAndSky:
    def test_the_order_of_the_excitation(self, estimator, tmp_path):
        powers, dwells = (1.0, 1.5, 1.0, 2.0), (1.0, 1.0, 2.0, 1.0)
        advices = []
        for number, (power, dwell) in enumerate(zip(powers, dwells, strict=True)):
            path = tmp_path / f"{number}.tif"
            tifffile.imwrite(path, frames_of(light_of("tissue", 20) * power**2 * dwell, 8, seed=number))
            advices.append(advise(path, AdviseOptions(black=OFFSET_DN), estimator))
        found = exponents(advices, powers, dwells)
        assert found.power == pytest.approx(2, abs=0.1)
        assert found.dwell == pytest.approx(1, abs=0.1)
        with pytest.raises(UsageError, match="vary independently"):
            exponents(advices, (1.0,) * 4, ())

    def test_the_shortest_sub_exposure_of_a_sky(self, estimator, tmp_path):
        sky = np.full((256, 256), 50.0)  # e- in 30 s
        tifffile.imwrite(tmp_path / "a.tif", frames_of(sky, 2))
        options = AdviseOptions(
            black=OFFSET_DN, gain=1 / GAIN, read_noise_e=5.0, detector="ccd", level="median", sky=True, exposure_s=30.0
        )
        found = advise(tmp_path / "a.tif", options, estimator).sky
        assert found.sky_rate == pytest.approx(50 / 30, rel=0.01)
        assert found.read_share == pytest.approx(math.sqrt(1 + 25 / 50) - 1, rel=0.02)
        assert dict(found.minimal_s)[0.05] == pytest.approx(25 / ((1.05**2 - 1) * 50 / 30), rel=0.02)
        with pytest.raises(UsageError, match="--offset"):
            advise(tmp_path / "a.tif", AdviseOptions(sky=True), estimator)


class TestCommand:
    def run(self, *arguments):
        return CliRunner().invoke(app, ["advise", *map(str, arguments)])

    def test_table_and_plot(self, stack, tmp_path):
        result = self.run(
            *(stack, "--target-snr", 10, "--offset", OFFSET_DN, "--max-dose", 3, "--plot", tmp_path / "a.png")
        )
        assert result.exit_code == 0, result.output
        assert "effective photons" in result.stdout
        assert "beyond the dose 3" in result.stdout
        assert all(len(line) <= 80 for line in result.stdout.splitlines())
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")

    def test_json(self, stack, tmp_path):
        result = self.run(stack, tmp_path / "gone.tif", "--json", "--excess-noise", 1.3)
        assert result.exit_code == 3
        report = json.loads(result.stdout)
        assert report["schema"] == "noisediag.advice/1"
        (found,) = report["stacks"]
        assert found["photons"] == "photons"
        assert [average["frames"] for average in found["averages"]] == list(FRAMES)

    @pytest.mark.parametrize(
        "options",
        [
            ("--excess-noise", "0.5"),
            ("--target-snr", "0"),
            ("--power", "1,2"),
            ("--power", "x"),
            ("-o", "a.csv"),
            ("--plot", "a.jpg"),
        ],
    )
    def test_refused_before_any_work(self, stack, options, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = self.run(stack, *options)
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
