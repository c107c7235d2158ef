"""Cameras that do what phones do: what is drawn, and the noise that each further stage leaves, by its moments.

Most scenes are flat and carry white noise of one SD in each channel, so that what a stage leaves of its variance is
known: from a kernel's energy, a share, or a step.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from noisediag.benchmark.rendered.truth import measured_truth
from noisediag.genome import camera, rendered, scenes
from noisediag.genome.camera import heic
from noisediag.genome.rendered import CODES, Grain, Phone, Unsharp
from noisediag.training import photographs
from noisediag.training.pictures import CleanPool
from noisediag.training.rendered_interval import KINDS

SIZE, DRAWS = 64, 12
LEVEL, READ = 0.4, 0.02
STILL = Phone(
    iso=0.5,
    frames=1,
    moved=(),
    tolerance=8.0,
    chroma_step=(1, 1),
    chroma_px=1,
    by_luma=False,
    local_tone=None,
    local_shape=(0.5, 0.5),
    smoother=None,
    smoother_luma=1.0,
    smoother_chroma=1.0,
    spared=0.0,
    unsharp=None,
    grain=None,
    first_shift=(0, 0),
    hevc=None,
)
PLAIN = rendered.Camera(  # white noise of equal strength in all channels, encoded
    shot_gain=1e-6,
    read_noise=READ,
    white_balance=(1.0, 1.0),
    demosaicer=None,
    second=None,
    mix=0.0,
    phase=0,
    encoding=1.0,
    denoiser=None,
    second_denoiser=None,
    denoiser_mix=0.0,
    luma_strength=1.0,
    chroma_strength=1.0,
    blend=1.0,
    matrix=0.0,
    tone="srgb",
    shape=(0.5,) * 6,
    look=None,
    sharpening=None,
    scale=1.0,
    kernel=None,
    gray=False,
    first_jpeg=None,
    jpeg=None,
    subsampled=False,
    offset=0,
    phone=STILL,
)
SLOPE = float(camera.tone_srgb(torch.tensor([LEVEL - 0.02, LEVEL + 0.02]), torch.zeros(6)).diff()) / 0.04


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_phone(**changes: object) -> rendered.Camera:
    return replace(PLAIN, phone=replace(STILL, **changes))  # type: ignore[arg-type]


def variance_left(settings: rendered.Camera, scene: Tensor | None = None) -> list[float]:
    """Variance of R, G, B and luma over that of white noise in R, without the rounding."""
    side = rendered.scene_px(settings, SIZE)
    flat = torch.full((1, 3, side, side), LEVEL) if scene is None else scene
    sigma = rendered.measure(flat, settings, SIZE, DRAWS, 1, seeded(3)).sigma[0]
    rounding = torch.tensor([1.0, 1.0, 1.0, sum(w**2 for w in camera.LUMA)]) / (12 * CODES**2)
    found: list[float] = ((sigma.square().mean(-1) - rounding) / (SLOPE * READ) ** 2).tolist()
    return found


def near(expected: float, independent: float = 1.0) -> object:
    """Five standard errors of a variance, where a share `independent` of the pixels is; and 2 % for bent curves."""
    return pytest.approx(expected, rel=0.02 + 5 * math.sqrt(2 / (SIZE**2 * (DRAWS - 1) * independent)))


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=seeded(seed))


# What is drawn ------------------------------------------------------------------------------------------------------


def test_stages_held_out_are_never_drawn_unless_asked_for_and_all_others_are() -> None:
    generator = seeded(1)
    drawn = [rendered.sample_phone(generator) for _ in range(600)]
    smoothers = {*camera.DENOISERS, *camera.SMOOTHERS, None} - {"guided"}
    assert {settings.denoiser for settings in drawn} == smoothers
    assert {settings.phone.smoother for settings in drawn} == smoothers
    assert {settings.demosaicer for settings in drawn} == {*camera.DEMOSAICERS, None} - {"constant_hue"}
    assert {settings.second for settings in drawn} == {*camera.DEMOSAICERS, None} - {"constant_hue"}
    assert {settings.tone for settings in drawn} == {*camera.TONES} - {"log"}
    assert {settings.phone.local_tone for settings in drawn} == {*camera.LOCAL_TONES, None} - {"equalised"}
    assert {settings.phone.hevc for settings in drawn} == {None}
    assert {settings.kernel for settings in drawn} == {*rendered.KERNELS, "lanczos", None}
    for _ in range(50):
        assert rendered.sample_phone(generator, held_out="local_tone").phone.local_tone == "equalised"
        settings = rendered.sample_phone(generator, held_out="codec")
        assert settings.phone.hevc is not None
        assert settings.jpeg is settings.first_jpeg is None
        assert settings.phone.local_tone != "equalised"


def test_training_never_runs_a_stage_that_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> Tensor:
        raise AssertionError("held out")

    monkeypatch.setitem(camera.DEMOSAICERS, rendered.HELD_OUT["demosaicer"], forbidden)
    monkeypatch.setitem(rendered._REMOVING, rendered.HELD_OUT["denoiser"], forbidden)
    monkeypatch.setitem(camera.TONES, rendered.HELD_OUT["tone"], forbidden)
    monkeypatch.setitem(camera.LOCAL_TONES, rendered.PHONE_HELD_OUT["local_tone"], forbidden)
    monkeypatch.setattr(camera, rendered.PHONE_HELD_OUT["codec"], forbidden)
    pool = CleanPool(scenes.make(2, 128, seeded(1)))
    data = photographs.rendered_set(pool, 24, 40, seed=1, purpose="held out", together=1, phones=0.5)
    assert len(data) == 24
    for kind, (_, cameras) in KINDS.items():  # nor does what intervals are calibrated on
        assert len(photographs.rendered_set(pool, 12, 40, seed=1, purpose=kind, together=1, cameras=cameras)) == 12
    for held_out in rendered.PHONE_HELD_OUT:  # the test sees what it forbids
        settings = rendered.sample_phone(seeded(2), held_out=held_out)
        with pytest.raises(AssertionError, match="held out"):
            rendered.render(torch.rand(1, 3, 80, 80), settings, 40, seeded())


def test_without_phones_training_draws_the_cameras_that_it_drew_before() -> None:
    for seed in range(5):
        assert photographs.a_camera(seeded(seed)) == rendered.sample_camera(seeded(seed))
    drawn = [photographs.a_camera(seeded(seed), phones=0.5) for seed in range(200)]
    assert 70 < sum(settings.phone is not None for settings in drawn) < 130


def test_a_stranger_has_stages_of_both_kinds_and_strengths_of_neither_but_none_that_is_held_out() -> None:
    drawn = [rendered.sample_stranger(seeded(seed)) for seed in range(400)]
    for kind, name in rendered.HELD_OUT.items():
        assert name not in {getattr(settings, kind) for settings in drawn}
        assert len({getattr(settings, kind) for settings in drawn}) > 3
    assert rendered.PHONE_HELD_OUT["local_tone"] not in {settings.phone.local_tone for settings in drawn}
    assert {settings.phone.hevc for settings in drawn} == {None}
    assert any(settings.sharpening and settings.phone.unsharp for settings in drawn)
    assert any(settings.second_denoiser and settings.phone.smoother for settings in drawn)
    assert max(s.offset + max(s.phone.first_shift) for s in drawn) == rendered.MARGIN  # as far as `render` sees
    phones = [rendered.sample_phone(seeded(seed)) for seed in range(400)]
    assert max(s.luma_strength for s in drawn) > 1.5 * max(s.luma_strength for s in phones)
    assert min(s.luma_strength for s in drawn) < min(s.luma_strength for s in phones) / 1.5


def test_a_plain_camera_does_nothing_but_round() -> None:
    drawn = [rendered.sample_plain(seeded(seed)) for seed in range(30)]
    assert not any(settings.processed or settings.kernel for settings in drawn)
    assert len({settings.read_noise for settings in drawn}) == 30


def test_one_iso_drives_noise_and_strengths() -> None:
    generator = seeded(4)
    drawn = [rendered.sample_phone(generator) for _ in range(500)]

    def correlation(value: Callable[[rendered.Camera], float | None]) -> float:
        pairs = [(s.phone.iso, value(s)) for s in drawn]
        known = np.array([(iso, seen) for iso, seen in pairs if seen is not None], dtype=np.float64)
        return float(np.corrcoef(known.T)[0, 1])

    assert correlation(lambda s: math.log(s.shot_gain)) > 0.7
    assert correlation(lambda s: math.log(s.read_noise)) > 0.7
    assert correlation(lambda s: math.log(s.luma_strength)) > 0.7
    assert correlation(lambda s: s.phone.frames if s.phone.frames > 1 else None) > 0.6
    assert correlation(lambda s: None if s.phone.unsharp is None else s.phone.unsharp.amount) < -0.4
    assert correlation(lambda s: s.jpeg) < -0.6


def test_every_phone_takes_pictures_whose_truth_two_ways_of_measuring_agree_on() -> None:
    """Repetitions by one generator, measured in torch, against others, measured in NumPy as the benchmark does."""
    scene = rendered.colourise(scenes.make(3, 96, seeded(6))[:, None], seeded(7))
    for seed, held_out in ((0, None), (1, None), (2, None), (3, None), (4, "local_tone"), (5, "codec")):
        settings = rendered.sample_phone(seeded(seed), held_out=held_out)
        fitting = rendered.mirrored(scene, rendered.scene_px(settings, 48))
        first = rendered.measure(fitting, settings, 48, 24, 24, seeded(8))
        again = rendered.measure(fitting, settings, 48, 24, 24, seeded(9))
        if seed == 0:
            same = rendered.measure(fitting, settings, 48, 24, 24, seeded(8))
            assert torch.equal(first.pictures, same.pictures)
        truth = measured_truth(again.pictures[0].double().numpy())
        for plane in range(4):
            one, other = (float(np.sqrt(np.square(s[plane]).mean())) for s in (first.sigma[0].numpy(), truth.sigma))
            assert one == pytest.approx(other, rel=0.12, abs=0.1 / CODES), (seed, plane)


# Stages -------------------------------------------------------------------------------------------------------------


def test_a_phone_that_does_nothing_leaves_the_noise() -> None:
    of_luma = sum(w**2 for w in camera.LUMA)
    assert variance_left(PLAIN) == [near(1), near(1), near(1), near(of_luma)]


def test_merged_frames_have_less_noise_where_nothing_moved_and_one_frames_where_something_did() -> None:
    merged = with_phone(frames=4, tolerance=1e9)
    assert variance_left(merged)[:3] == [near(1 / 4)] * 3
    side = rendered.scene_px(merged, SIZE)
    stripes = 0.3 + 0.2 * (torch.arange(side) // 4 % 2)  # what moves by 4 px is the other colour
    scene = stripes.expand(1, 3, side, side)
    assert variance_left(with_phone(frames=4, tolerance=1e9), scene)[1] < 0.35
    left = with_phone(frames=4, tolerance=0.5, moved=((0.5, -10.0, 10.5),))  # a disc whose edge is the middle
    pictures = rendered.measure(scene, left, SIZE, DRAWS, DRAWS, seeded(5)).pictures[0]
    single = rendered.measure(scene, PLAIN, SIZE, DRAWS, DRAWS, seeded(5)).pictures[0]
    shares = [
        float(pictures[..., cut].var(0).mean() / single[..., cut].var(0).mean()) for cut in (slice(24), slice(40, 64))
    ]
    assert shares[0] == pytest.approx(1, abs=0.06)
    # still: A = 1 / (1 + tolerance) of the others is lost at most
    assert shares[1] < 0.75
    assert torch.allclose(pictures.mean(0), single.mean(0), atol=6)  # no ghosts


def test_colours_of_fewer_pixels_keep_less_noise_and_luma_all() -> None:
    kept = (0.75**2 + 0.25**2) ** 2 / 4  # the mean of four, enlarged with weights 3/4 and 1/4 in both directions
    found = variance_left(with_phone(chroma_step=(2, 2)))
    assert found[:3] == [near(1 / 3 + 2 / 3 * kept, 0.2)] * 3  # a third of a channel's noise is its brightness's
    across = 1 / 3 + 2 / 3 * (0.75**2 + 0.25**2) / 2
    assert variance_left(with_phone(chroma_step=(1, 2)))[:3] == [near(across, 0.3)] * 3


def test_colours_are_smoothed_at_a_smaller_size_and_along_luma() -> None:
    chroma = noise(4, 3, 64, 64)
    for side in (1, 2, 4):
        kept = camera.smoothed_chroma(chroma, side, lambda plane: plane)
        # bilinear weights of an enlargement by `side`, in both directions
        at = (torch.arange(side) + 0.5) / side - 0.5
        energy = float(((1 - at.abs()).square() + at.square()).mean()) if side > 1 else 1.0
        assert float(kept.var()) == pytest.approx((energy / side) ** 2, rel=0.1)
    assert torch.equal(camera.smoothed_chroma(chroma, 1, lambda plane: plane), chroma)
    smooth = camera.denoise_by_luma(chroma, torch.zeros(4, 64, 64), 1.0)
    assert float(smooth[..., 2:-2, 2:-2].var()) == pytest.approx(1 / 25, rel=0.1)
    edge = torch.zeros(4, 64, 64)
    edge[..., 32:] = 50
    apart = camera.denoise_by_luma(edge[:, None].expand(-1, 3, -1, -1), edge, 1.0)
    assert torch.allclose(apart[:, 0], edge, atol=1e-4)


def test_smoothing_what_is_encoded_leaves_its_kernels_energy() -> None:
    energy = camera.blur_energy(0.3 + 0.4) ** 2
    found = variance_left(with_phone(smoother="gaussian"))
    assert found[:3] == [near(energy, 0.2)] * 3
    level = rendered.nominal_noise(PLAIN, STILL)
    steps = camera.tone_srgb(torch.tensor([0.17, 0.19]), torch.zeros(6))
    assert level == pytest.approx(float(steps.diff()) / 0.02 * READ, rel=0.02)
    assert rendered.nominal_noise(PLAIN, replace(STILL, frames=4)) == pytest.approx(level / 2)
    side = rendered.scene_px(PLAIN, 48)
    taken = [
        float(rendered.measure(torch.full((1, 3, side, side), LEVEL), s, 48, 6, 1, seeded()).denoised[0])
        for s in (PLAIN, with_phone(smoother="gaussian", smoother_luma=2.0))
    ]
    assert taken == [0, 1]


def test_the_median_leaves_the_variance_of_a_median() -> None:
    plane = noise(8, 64, 64)
    assert float(camera.SMOOTHERS["median"](plane, 1.0)[..., 2:-2, 2:-2].var()) == pytest.approx(
        0.1661, rel=0.05
    )  # of nine normals
    spikes = torch.zeros(1, 16, 16)
    spikes[0, 5, 5] = 9
    assert camera.SMOOTHERS["median"](spikes, 1.0).abs().max() == 0


@pytest.mark.parametrize("name", camera.SMOOTHERS)
def test_smoothers_keep_constants_and_edges_and_take_more_the_stronger_they_are(name: str) -> None:
    remove = camera.SMOOTHERS[name]
    assert torch.allclose(remove(torch.full((1, 24, 24), 7.5), 2.0), torch.full((1, 24, 24), 7.5), atol=1e-5)
    edge = torch.zeros(1, 24, 24)
    edge[..., 12:] = 60.0
    assert (remove(edge, 1.0) - edge).abs().max() < 5
    weak, strong = (float(remove(20 + noise(2, 64, 64), strength).std()) for strength in (0.4, 2.0))
    assert strong < weak < 1.02
    assert strong < 0.6
    assert abs(float(remove(20 + noise(2, 64, 64), 2.0).mean() - 20 - noise(2, 64, 64).mean())) < 0.02


def test_texture_is_spared() -> None:
    clean = torch.zeros(1, 3, 32, 64)
    clean[..., 32:] = 20 * (torch.arange(32) // 3 % 2)
    noisy = clean + noise(1, 3, 32, 64)
    mixed = camera.by_activity(noisy, clean, 0.8)
    assert float((mixed - clean)[..., :28].var()) < 0.02
    assert float((mixed - clean)[..., 36:60].var()) == pytest.approx(0.64, rel=0.15)
    assert torch.equal(camera.by_activity(noisy, clean, 0.0), clean)


def test_detail_above_the_threshold_is_sharpened_by_its_kernel() -> None:
    radius, amount = 1.0, 0.8
    point = torch.zeros(1, 31, 31)
    point[..., 15, 15] = 1
    energy = float((point + amount * (point - camera.blur(point, radius))).square().sum())
    sharp = Unsharp(radius, amount, threshold=0.0, halo=None, colour=1.0)
    assert variance_left(with_phone(unsharp=sharp))[:3] == [near(energy, 0.5)] * 3
    of_luma = sum(w**2 for w in camera.LUMA)
    assert variance_left(with_phone(unsharp=replace(sharp, colour=0.0)))[3] == near(of_luma * energy, 0.5)
    assert variance_left(with_phone(unsharp=replace(sharp, threshold=1.0)))[:3] == [near(1)] * 3
    edge = torch.full((1, 3, 32, 32), 0.3)
    edge[..., 16:] = 0.6
    glow = [camera.unsharp(edge, radius, amount, 0.0, halo, 0.0)[..., 2:-2, 2:-2].max() for halo in (None, 0.02, 0.0)]
    assert glow[0] > 0.65
    assert [float(value) for value in glow[1:]] == pytest.approx([0.62, 0.6], abs=1e-5)


def test_local_contrast_scales_the_noise_of_detail_and_the_steps_between_large_parts() -> None:
    of_luma = sum(w**2 for w in camera.LUMA)
    found = variance_left(with_phone(local_tone="base_detail", local_shape=(0.5, 0.75)))
    assert found[3] == pytest.approx(of_luma * 1.5**2, rel=0.06)
    halves = torch.full((1, 3, 64, 64), 0.3)
    halves[..., 32:] = 0.7
    toned = camera.LOCAL_TONES["base_detail"](halves, (0.5, 0.5))[0, 0, 32]
    assert float(toned[60] - toned[4]) == pytest.approx(0.6 * 0.4, rel=0.05)


def test_equalised_tiles_stretch_what_is_narrow_up_to_the_limit() -> None:
    wide = torch.rand(1, 1, 96, 96, generator=seeded(2)).expand(-1, 3, -1, -1)
    even = camera.LOCAL_TONES["equalised"](wide, (0.0, 0.0))  # 3 x 3 tiles of 1024 pixels, all levels alike
    assert (even - wide)[wide > 0.05].abs().max() < 0.06
    narrow = 0.4 + 0.2 * wide
    limit = 1.5 + 2.5 * 0.6
    stretched = camera.LOCAL_TONES["equalised"](narrow, (0.0, 0.6))
    slope = limit + (1 - limit * 0.2)  # what was cut off, spread over all levels
    assert float(stretched.std() / narrow.std()) == pytest.approx(slope, rel=0.05)


def test_zooming_leaves_its_weights_energy() -> None:
    settings = replace(PLAIN, scale=1.7, kernel="lanczos")
    side = rendered.scene_px(settings, SIZE)
    weights = camera.lanczos_weights(side, SIZE + 2 * rendered.MARGIN)
    assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
    energy = float(weights.square().sum(1)[rendered.MARGIN : -rendered.MARGIN].mean()) ** 2
    assert variance_left(settings)[:3] == [near(energy, 0.3)] * 3
    waves = torch.sin(torch.arange(60) / 4).expand(1, 1, 60, 60)
    finer = camera.lanczos(waves, 60, 150)[0, 0, 0]
    assert (finer - torch.sin(((torch.arange(150) + 0.5) / 2.5 - 0.5) / 4))[10:-10].abs().max() < 0.01


def test_grain_has_its_law_size_and_colour() -> None:
    for level in (0.1, 0.5):
        flat = torch.full((4, 3, 64, 64), level)
        added = camera.grain(flat, 0.02, 0.8, 0.25, seeded(3)) - flat
        expected = 0.02 * 2 * math.sqrt(level * (1 - level))
        assert float(added.std()) == pytest.approx(expected, rel=0.06)
        both = float((added[:, 0] * added[:, 2]).mean()) / expected**2
        assert both == pytest.approx(0.75, abs=0.08)
        lag = float((added[..., 1:] * added[..., :-1]).mean()) / expected**2
        assert lag == pytest.approx(math.exp(-1 / (4 * 0.8**2)), abs=0.08)  # two Gaussians at a distance of 1
    quiet = replace(with_phone(grain=Grain(0.03, 0.0, 1.0)), read_noise=1e-6)
    signal = float(camera.tone_srgb(torch.tensor(LEVEL), torch.zeros(6)))
    side = rendered.scene_px(quiet, SIZE)
    seen = rendered.measure(torch.full((1, 3, side, side), LEVEL), quiet, SIZE, DRAWS, 1, seeded(4)).sigma[0, 0]
    variance = (0.06**2) * signal * (1 - signal) + 1 / (12 * CODES**2)
    assert float(seen.square().mean()) == near(variance)


# Compression --------------------------------------------------------------------------------------------------------


def test_a_second_jpeg_on_another_grid_adds_the_noise_of_its_steps() -> None:
    flat = torch.full((8, 3, rendered.scene_px(PLAIN, SIZE), rendered.scene_px(PLAIN, SIZE)), LEVEL)
    noisy = replace(PLAIN, read_noise=0.12, gray=True, first_jpeg=85)
    steps = camera.jpeg_tables(85)[0]

    def changed(shift: tuple[int, int]) -> float:
        shifted = replace(noisy, phone=replace(STILL, first_shift=shift))
        once, twice = (
            rendered.render(flat, replace(shifted, jpeg=quality), SIZE, seeded(5))[0][:, 0] for quality in (None, 85)
        )
        return float((twice - once).square().mean())

    assert changed((0, 0)) < 0.3  # the same blocks and steps: all is there already
    assert changed((3, 5)) == pytest.approx(float(steps.square().mean()) / 12 + 1 / 12, rel=0.12)


def test_hevc_adds_the_noise_of_its_step_and_takes_what_is_weaker() -> None:
    strong = (128 + 8 * noise(4, 96, 96)).round()[:, None].expand(-1, 3, -1, -1)
    step = heic.step_of(10)
    assert step == 2
    # coefficients are cut off from a third of a step below the next level: off by -1/3 .. 2/3 of a step, and those
    # that become 0 by -2/3 .. 2/3
    zeros = math.erf(2 / 3 * step / 8 / math.sqrt(2))
    expected = step**2 * (zeros * (2 / 3) ** 2 / 3 + (1 - zeros) / 9) + 1 / 12
    assert float((camera.hevc(strong, 10) - strong)[:, 0].square().mean()) == pytest.approx(expected, rel=0.1)
    weak = (128 + 2 * noise(2, 96, 96)).round()[:, None].expand(-1, 3, -1, -1)
    assert float(camera.hevc(weak, 38)[:, 0].std(-1).mean()) < 0.3
    cost = [float((camera.hevc(strong, qp) - strong).square().mean()) for qp in (4, 16, 28)]
    assert cost == sorted(cost)
    assert cost[0] < 0.5
    flat = torch.full((1, 3, 40, 56), 128.0)
    assert torch.equal(camera.hevc(flat, 30), flat)


def test_edges_of_blocks_are_smoothed_where_the_coding_made_them() -> None:
    plane = torch.zeros(1, 32, 32)
    plane[..., 8:] = 4
    plane[..., 24:] = 204
    sides = torch.full((1, 4, 4), 8.0)
    smooth = heic._deblocked(plane, sides, 36)
    assert float(smooth[0, 0, 8] - smooth[0, 0, 7]) < 2
    assert float(smooth[0, 0, 24] - smooth[0, 0, 23]) == 200  # the picture's own
    assert torch.equal(heic._deblocked(plane, torch.full((1, 4, 4), 16.0), 36)[..., :16], plane[..., :16])
    assert torch.equal(heic._deblocked(plane, sides, 10), plane)


def test_hevc_leaves_as_much_noise_as_a_real_encoder_that_changes_as_much() -> None:
    heif = pytest.importorskip("pillow_heif")
    clean = 40 + 150 * scenes.make(1, 64, seeded(3), kinds=("photo",))[0]
    noisy = (clean + 3 * noise(6, 64, 64)).round().clamp(0, 255)
    decoded = []
    for plane in noisy:
        stream = io.BytesIO()
        heif.from_pillow(Image.fromarray(plane.numpy().astype(np.uint8)).convert("RGB")).save(stream, quality=35)
        stream.seek(0)
        decoded.append(np.asarray(heif.open_heif(stream).to_pillow())[..., 1].astype(np.float32))
    theirs = torch.from_numpy(np.stack(decoded))
    changed = (theirs - noisy).square().mean()
    colours = noisy[:, None].expand(-1, 3, -1, -1)
    ours = min(
        (camera.hevc(colours, qp)[:, 1] for qp in range(16, 36)),
        key=lambda plane: abs(float((plane - noisy).square().mean() - changed)),
    )
    left = [float(planes.var(0).mean().sqrt()) for planes in (ours, theirs)]
    assert left[1] > 3.6  # texture that is rounded up or down with the noise adds to it
    assert left[0] == pytest.approx(left[1], rel=0.1)
