"""What contradicts a footprint is said, and nothing is claimed that the picture does not bear out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage

from noisediag import images
from noisediag.cop.doubt_head import LAWS, TROUBLES, DoubtReading
from noisediag.cop.models import SensorAnswer
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint
from noisediag.footprint.plane import PlaneFootprint, SampledCurve
from noisediag.genome import light, scenes
from noisediag.genome.cases import bayer_image
from noisediag.readout import doubts, sensor
from noisediag.readout.questions import OfBags, about_bags
from noisediag.readout.tiles import plan

WHITE = 65535
SIDE = 256
NEVER = ("misfit", "uneven", "black_doubtful", "smoothed", "saturation_measured")

Floats = NDArray[np.float64]
Force = Callable[..., tuple[PlaneFootprint, doubts.Doubted]]


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(device="cpu")


def scene(kind: str, seed: int, low: float, high: float) -> Floats:
    picture = scenes.make(1, SIDE, torch.Generator().manual_seed(seed), kinds=(kind,))[0].double().numpy()
    picture = (picture - picture.min()) / max(float(np.ptp(picture)), 1e-6)
    return np.asarray(low + (high - low) * picture)


def photons(clean: Floats, rng: np.random.Generator, *, shot: float = 2e-3, read: float = 3e-3) -> Floats:
    return np.asarray(shot * rng.poisson(clean / shot) + read * rng.standard_normal(clean.shape))


def codes(values: Floats) -> NDArray[np.uint16]:
    return np.clip(np.rint(values * WHITE), 0, WHITE).astype(np.uint16)


def read(estimator: Estimator, values: Floats) -> Footprint:
    return estimator.estimate(images.from_array(codes(values), black=0, white=WHITE))


@pytest.fixture(scope="module")
def force(estimator: Estimator) -> Force:
    """`force(law=, trouble=)`: an ordinary plane, and what is left of it if the head sees this law or trouble."""
    image = images.from_array(
        codes(photons(scene("photo", 3, 0.05, 0.8), np.random.default_rng(0))), black=0, white=WHITE
    )
    (part,) = plan(image)
    answers = about_bags(estimator.model, estimator.device, [OfBags(part.bags)])[0].answers
    _, whole = sensor.read_part(estimator.model, part, answers, image, None, (None,) * len(part.bags))

    def force(
        law: str = "photon", trouble: str | None = None, change: Callable[[SensorAnswer], SensorAnswer] | None = None
    ) -> tuple[PlaneFootprint, doubts.Doubted]:
        logits, troubles = torch.full((1, len(LAWS)), -30.0), torch.full((1, len(TROUBLES)), -30.0)
        logits[0, LAWS.index(law)] = 30.0
        if trouble is not None:
            troubles[0, TROUBLES.index(trouble)] = 30.0
        fits = replace(answers[-1].doubts.fits, law_excess=torch.zeros(1, 3))
        seen = replace(answers[-1].doubts, fits=fits)
        answer = replace(answers[-1], doubted=DoubtReading(logits, troubles), doubts=seen)
        answer = answer if change is None else change(answer)
        return whole, doubts.doubt(estimator.model.calibration, answer, whole, "linear", whole=True)

    return force


class TestConsequences:
    def test_an_ordinary_picture_stays_as_it_is(self, force: Force) -> None:
        before, after = force()
        assert after.plane.light is not None
        assert after.plane.light.name == "photon"
        assert after.plane.curve == before.curve
        assert after.plane.parameters == before.parameters
        assert (after.warnings, after.uneven) == ((), None)

    @pytest.mark.parametrize("law", ["speckle", "rician", "grain"])
    def test_there_are_no_electrons_under_another_law(self, force: Force, law: str) -> None:
        _, after = force(law)
        assert after.plane.light is not None
        assert after.plane.light.name == law
        assert after.plane["shot_gain"].value is None
        assert after.plane["shot_gain"].value_dn is None
        assert len(after.warnings) == 1

    @pytest.mark.parametrize("law", ["rician", "grain"])
    def test_the_curve_is_that_of_the_law(self, force: Force, law: str) -> None:
        before, after = force(law)
        assert isinstance(after.plane.law, SampledCurve)
        assert after.plane.law != before.law
        for old, new in zip(before.curve, after.plane.curve, strict=True):
            assert new.sigma == pytest.approx(after.plane.law.sigma(new.signal))
            assert new.low / new.sigma == pytest.approx(old.low / old.sigma)

    def test_a_misfit_widens_the_interval_to_both_readings(self, force: Force) -> None:
        def twice_at_the_bright_end(answer: SensorAnswer) -> SensorAnswer:
            parts = answer.doubts.fits.by_signal.clone()
            parts[:, :, 1] = torch.tensor([1.0, 1.0, 1.0, 4.0])
            return replace(answer, doubts=replace(answer.doubts, fits=replace(answer.doubts.fits, by_signal=parts)))

        before, after = force(trouble="misfit", change=twice_at_the_bright_end)
        assert "misfit" in after.plane.flags
        assert "1 to 2 times" in after.warnings[0]
        assert after.plane.curve[-1].high > 2 * before.curve[-1].sigma
        assert after.plane.curve[0].high < 1.5 * before.curve[0].high

    def test_uneven_noise_holds_both_extremes(self, force: Force) -> None:
        def cells(answer: SensorAnswer) -> SensorAnswer:
            extremes = torch.tensor([[0.25, 4.0]], dtype=torch.float64)
            return replace(answer, doubts=replace(answer.doubts, fits=replace(answer.doubts.fits, by_cell=extremes)))

        before, after = force(trouble="uneven", change=cells)
        assert after.uneven == pytest.approx((0.5 / doubts.ROOM, 2.0 * doubts.ROOM))
        assert "uneven" in after.plane.flags
        for old, new in zip(before.curve, after.plane.curve, strict=True):
            assert new.low <= 0.5 * old.sigma
            assert new.high >= 2 * old.sigma

    def test_a_law_that_took_the_place_is_no_misfit(self, force: Force) -> None:
        _, after = force("rician", "misfit")
        assert "misfit" not in after.plane.flags


class TestPictures:
    """With the shipped model, on pictures of the test's own making."""

    @pytest.mark.parametrize(("kind", "seed"), [("photo", 1), ("leaves", 2), ("photo", 5)])
    def test_photons_are_not_doubted(self, estimator: Estimator, kind: str, seed: int) -> None:
        clean = scene(kind, seed, 0.03, 0.8)
        found = read(estimator, photons(clean, np.random.default_rng(seed)))
        assert not set(NEVER) & set(found.flags)
        assert found.planes[-1].light is not None
        assert found.planes[-1].light.name == "photon"

    def test_a_magnitude_is_told_and_its_sigma_read(self, estimator: Estimator) -> None:
        clean = torch.from_numpy(scene("glow", 5, 0.0, 0.5)).float()[None]
        sigma = torch.tensor([0.03])
        found = read(estimator, light.rician(clean, sigma, torch.Generator().manual_seed(1))[0].double().numpy())
        assert found.planes[-1].light is not None
        assert found.planes[-1].light.name == "rician"
        assert found["shot_gain"].value is None
        assert found["read_noise"].value == pytest.approx(0.03, rel=0.15)
        assert found.sigma(0.3) == pytest.approx(0.03, rel=0.15)
        assert found.derived.K.value is None

    @pytest.mark.parametrize("looks", [1, 4])
    def test_speckle_is_told(self, estimator: Estimator, looks: int) -> None:
        clean = scene("glow", 10, 0.02, 0.2)
        found = read(estimator, clean * np.random.default_rng(looks).gamma(looks, 1 / looks, clean.shape))
        assert found.planes[-1].light is not None
        assert found.planes[-1].light.name == "speckle"
        assert found["shot_gain"].value is None
        assert found.sigma(0.1) == pytest.approx(0.1 / looks**0.5, rel=0.2)

    def test_a_half_that_was_merged_is_told(self, estimator: Estimator) -> None:
        clean, rng = scene("photo", 9, 0.05, 0.8), np.random.default_rng(3)
        values = photons(clean, rng)
        merged = np.mean([photons(clean, rng) for _ in range(8)], 0)
        values[:, : SIDE // 2] = merged[:, : SIDE // 2]
        found = read(estimator, values)
        assert "uneven" in found.flags
        assert found.uneven is not None
        assert found.uneven[1] / found.uneven[0] > 1.5

    def test_a_black_that_is_stated_too_low_is_told(self, estimator: Estimator) -> None:
        clean, rng = scene("photo", 11, 0.005, 0.85), np.random.default_rng(5)
        clean = np.kron(clean, np.ones((2, 2)))
        values = 1023 + photons(clean, rng, shot=3e-4, read=1e-3) * (16383 - 1023)
        image = bayer_image(np.clip(np.rint(values), 0, 16383).astype(np.uint16), black=0, white=16383, bits=14)
        found = estimator.estimate(image)
        assert "black_doubtful" in found.flags
        black = found.planes[-1].black
        assert black is not None
        assert black.stated_dn == 0
        assert black.fitted_dn == pytest.approx(1023, rel=0.25)
        assert found["multiplicative"].value is None
        assert found["shot_gain"].value_dn == pytest.approx(3e-4 * (16383 - 1023), rel=0.25)
        assert found["read_noise"].value is None

    def test_a_smoothed_raw_file_has_no_electrons(self, estimator: Estimator) -> None:
        clean, rng = np.kron(scene("photo", 12, 0.01, 0.8), np.ones((2, 2))), np.random.default_rng(6)
        values = 800 + photons(clean, rng) * 15000
        weights = np.array([0.2, 0.6, 0.2])
        for row in (0, 1):
            for column in (0, 1):
                plane = values[row::2, column::2]
                for axis in (0, 1):
                    plane = np.apply_along_axis(np.convolve, axis, plane, weights, "same")
                values[row::2, column::2] = plane
        image = bayer_image(np.rint(values).astype(np.uint16)[16:-16, 16:-16], black=800, white=16383, bits=14)
        found = estimator.estimate(image)
        assert "smoothed" in found.flags
        assert found["shot_gain"].value is None
        assert found.derived.electrons_at_white is None
        assert found.structure.pixel_independent is False

    def test_an_unprocessed_png_is_linear_like_the_same_pixels_as_tiff(
        self, estimator: Estimator, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        clean, rng = scene("glow", 15, 0.02, 0.5), np.random.default_rng(8)
        pixels = np.clip(np.rint(255 * photons(clean, rng, shot=0.02, read=1e-3)), 0, 255).astype(np.uint8)
        path = tmp_path_factory.mktemp("png") / "cells.png"
        PillowImage.fromarray(pixels).save(path)
        png = estimator.estimate(images.read(path))
        tiff = estimator.estimate(images.from_array(pixels))
        assert png.domain == "linear"
        assert "rendered" not in png.flags
        for one, other in zip(png.curve, tiff.curve, strict=True):
            assert one.low <= other.high
            assert other.low <= one.high
