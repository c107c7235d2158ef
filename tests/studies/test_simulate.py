from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
from PIL import Image as Pillow

from noisediag import images
from noisediag.errors import NoisediagError, UnreadableError, UsageError
from noisediag.genome import correlation
from noisediag.studies import simulate
from noisediag.studies.simulate import NoiseOptions, SimulateOptions

LEVEL = 0.4


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    path = tmp_path / "flat.tif"
    tifffile.imwrite(path, np.full((256, 384), LEVEL, dtype=np.float32), photometric="minisblack")
    return path


@pytest.fixture
def colour(tmp_path: Path) -> Path:
    path = tmp_path / "colour.png"
    Pillow.fromarray(np.full((64, 96, 3), (204, 102, 51), dtype=np.uint8)).save(path)
    return path


def _close(measured: float, expected: float, pixels: int) -> None:
    """A standard deviation of `pixels` values, within five of its own standard errors."""
    assert abs(measured / expected - 1) < 5 / math.sqrt(2 * pixels)


def test_a_dng_holds_what_was_asked_for(flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "noisy.dng"
    noise = NoiseOptions(shot_gain=2e-4, read_noise=2e-3)
    told = simulate.run(SimulateOptions(path, clean=flat, noise=noise, bit_depth=12, black_dn=256))
    with rawpy.imread(str(path)) as raw:
        assert [raw.color_desc.decode()[i] for i in raw.raw_pattern.ravel()] == ["R", "G", "G", "B"]
        assert raw.black_level_per_channel == [256] * 4
        assert raw.white_level == 4095
        assert raw.raw_image_visible.shape == (256, 384)
        x = (raw.raw_image_visible.astype(float) - 256) / (4095 - 256)
        assert raw.postprocess(half_size=True).shape == (128, 192, 3)
    q = 1 / (4095 - 256)
    _close(x.std(), math.sqrt(2e-4 * LEVEL + 4e-6 + q * q / 12), x.size)
    assert abs(x.mean() - LEVEL) < 5 * x.std() / math.sqrt(x.size)
    assert told.to_dict()["parameters"][4]["value"] == pytest.approx(q, rel=1e-5)


def test_a_dng_carries_its_noise_profile_and_exif(flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "noisy.dng"
    noise = NoiseOptions(shot_gain=2e-4, read_noise=2e-3)
    told = simulate.run(SimulateOptions(path, clean=flat, noise=noise, bit_depth=14, black_dn=1024))
    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        profile = tags[51041].value
        assert tags[33422].value == bytes((0, 1, 1, 2))
        assert tags[34665].value["ISOSpeedRatings"] == 2000
    assert np.reshape(profile, (3, 2)) == pytest.approx(np.array([told.noise_profile] * 3))
    assert told.noise_profile == pytest.approx((2e-4, 4e-6 + (1 / 15359) ** 2 / 12))
    assert np.shape(told.to_dict()["derived"]["dng_noise_profile"]) == (1, 2)  # pairs, as a report has them
    read = images.read(path)
    assert read.domain == "raw-linear"
    assert {(p.name, p.black_dn, p.white_dn) for p in read.planes} == {(n, 1024, 16383) for n in ("R", "G1", "G2", "B")}
    assert read.acquisition["Make"] == "noisediag"
    assert read.acquisition["ISO"] == 2000
    assert read.acquisition["ExposureTime"] == pytest.approx(0.01)


def test_row_noise_runs_through_the_mosaic_and_correlation_through_a_plane(flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "noisy.dng"
    noise = NoiseOptions(read_noise=0.01, row_noise=0.02, correlation=1.0)
    simulate.run(SimulateOptions(path, clean=flat, noise=noise, bit_depth=14, black_dn=1024))
    with rawpy.imread(str(path)) as raw:
        x = (raw.raw_image_visible.astype(float) - 1024) / (16383 - 1024)
    rows = x.mean(axis=1)
    _close(rows.std(), 0.02, len(rows))
    z = x - rows[:, None]
    lag1, lag2 = ((z[:, :-d] * z[:, d:]).mean() / z.var() for d in (1, 2))
    taps = correlation.kernel(1.0)
    expected = (taps[:, 1:] * taps[:, :-1]).sum()  # at one pixel of the plane, two of the mosaic
    assert abs(lag1) < 0.03
    assert lag2 == pytest.approx(expected, abs=0.05)


def test_colour_is_balanced_as_a_sensor_sees_it(colour: Path, tmp_path: Path) -> None:
    path = tmp_path / "noisy.dng"
    simulate.run(SimulateOptions(path, clean=colour, bit_depth=14))
    with rawpy.imread(str(path)) as raw:
        x = raw.raw_image_visible / 16383
        assert raw.camera_whitebalance[0] / raw.camera_whitebalance[1] == pytest.approx(2, rel=1e-3)
    np.testing.assert_allclose(x[:2, :2], [[0.8 * 0.5, 0.4], [0.4, 0.2 * 0.67]], atol=1e-4)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_pictures_hold_noise_of_the_planted_size(
    flat: Path, tmp_path: Path, suffix: str, bits: int, dtype: type
) -> None:
    path = tmp_path / f"noisy{suffix}"
    white = 2**bits - 1
    noise = NoiseOptions(read_noise=0.02, multiplicative=0.1)
    simulate.run(SimulateOptions(path, clean=flat, noise=noise, bit_depth=bits))
    codes = tifffile.imread(path) if suffix == ".tif" else np.asarray(Pillow.open(path))
    assert codes.shape == (256, 384)
    assert codes.max() <= white
    if suffix == ".tif":
        assert codes.dtype == dtype
    _close((codes / white).std(), math.sqrt(0.02**2 + 0.01 * LEVEL**2 + 1 / white**2 / 12), codes.size)


def test_colour_channels_have_noise_of_their_own(colour: Path, tmp_path: Path) -> None:
    path = tmp_path / "noisy.tif"
    told = simulate.run(SimulateOptions(path, clean=colour, noise=NoiseOptions(read_noise=0.02)))
    codes = tifffile.imread(path)
    assert codes.shape == told.shape == (64, 96, 3)
    assert abs(np.corrcoef(codes.reshape(-1, 3).T)[0, 1]) < 5 / math.sqrt(64 * 96)


def test_a_stack_holds_frames_of_one_scene(flat: Path, tmp_path: Path) -> None:
    path, noise = tmp_path / "stack.tif", NoiseOptions(read_noise=0.02)
    told = simulate.run(SimulateOptions(path, clean=flat, noise=noise, frames=3, bit_depth=12))
    image = images.read(path)
    assert told.shape == (3, 256, 384)
    assert (image.frames, image.planes[0].white_dn) == (3, 4095)
    frames = np.stack([plane.load() for plane in image.planes]).astype(float) / 4095
    _close(np.diff(frames, axis=0)[0].std(), 0.02 * math.sqrt(2), frames[0].size)


def test_exposure_multiplies_the_light_and_white_clips_it(flat: Path, tmp_path: Path) -> None:
    for factor, expected in ((0.5, 0.2), (10, 1.0)):
        path = tmp_path / f"{factor}.tif"
        simulate.run(SimulateOptions(path, clean=flat, exposure=factor))
        assert tifffile.imread(path).mean() / 65535 == pytest.approx(expected, abs=1e-4)


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    options = SimulateOptions(
        tmp_path / "a.dng", scene="photo", size=(64, 96), seed=3, noise=NoiseOptions(shot_gain=1e-3), bit_depth=12
    )
    first = simulate.run(options)
    simulate.run(replace(options, output=tmp_path / "b.dng"))
    assert (tmp_path / "a.dng").read_bytes() == (tmp_path / "b.dng").read_bytes()
    simulate.run(replace(options, output=tmp_path / "c.dng", seed=4))
    assert (tmp_path / "a.dng").read_bytes() != (tmp_path / "c.dng").read_bytes()
    assert first.shape == (64, 96)
    assert json.loads(first.dumps())["schema"] == "noisediag.simulation/1"


def test_a_report_can_be_simulated_anew(tmp_path: Path) -> None:
    entry = {"name": "shot_gain", "value": 2e-4, "present": 0.9}
    absent = {"name": "row_noise", "value": 1e-3, "present": 0.2}
    unknown = {"name": "read_noise", "value": None, "present": None}
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"images": [{"planes": [{"parameters": [entry, absent, unknown]}]}]}))
    assert simulate.read_noise_options(report) == NoiseOptions(shot_gain=2e-4)
    report.write_text("[]")
    with pytest.raises(UnreadableError, match="no noisediag report"):
        simulate.read_noise_options(report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scene": None}, "--scene is needed"),
        ({"scene": "nonsense"}, "nonsense"),
        ({"output": Path("noisy.jpg")}, "one of"),
        ({"bit_depth": 7}, "--bit-depth"),
        ({"black_dn": 65535}, "black < white"),
        ({"white_dn": 70000}, "black < white"),
        ({"exposure": 0.0}, "--exposure"),
        ({"noise": NoiseOptions(shot_gain=-1)}, "--shot-gain"),
        ({"noise": NoiseOptions(salt_share=2)}, "--salt-share"),
        ({"noise": NoiseOptions(quantisation=1e-5), "bit_depth": 8}, "--quantisation"),
        ({"size": (8, 8)}, "--size"),
        ({"frames": 0}, "--frames"),
        ({"frames": 2, "output": Path("noisy.png")}, "--frames"),
    ],
)
def test_impossible_requests_are_refused_before_the_work(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    options = SimulateOptions(tmp_path / "noisy.tif", scene="flat", size=(32, 32))
    with pytest.raises(UsageError, match=message):
        simulate.run(replace(options, **change))
    assert not list(tmp_path.glob("*.tif"))


def test_an_existing_file_and_the_clean_one_are_kept(flat: Path, tmp_path: Path) -> None:
    before = flat.read_bytes()
    for output in (flat, tmp_path / "there.tif"):
        output.touch()
        with pytest.raises(NoisediagError, match=r"input|exists"):
            simulate.run(SimulateOptions(output, clean=flat))
    assert flat.read_bytes() == before


def test_the_sample_is_what_its_truth_says() -> None:
    folder = Path(__file__).parent.parent / "data"
    told = json.loads((folder / "sample.json").read_text())
    assert (folder / "sample.dng").stat().st_size < 1_000_000
    with rawpy.imread(str(folder / "sample.dng")) as raw:
        assert list(raw.raw_image_visible.shape) == told["shape"]
        assert raw.white_level == told["white_dn"]
        assert set(raw.black_level_per_channel) == {told["black_dn"]}


def test_a_stack_is_one_scene_with_noise_of_its_own(flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    options = SimulateOptions(path, clean=flat, noise=NoiseOptions(read_noise=0.02), frames=5, bleach=0.5)
    told = simulate.run(options)
    image = images.read(path)
    assert (image.frames, told.shape) == (5, (5, 256, 384))
    frames = np.stack([plane.load() for plane in image.planes]) / 65535
    means = frames.mean(axis=(1, 2))
    assert means == pytest.approx([LEVEL * factor for factor in (1, 0.875, 0.75, 0.625, 0.5)], rel=1e-3)
    _close(frames[0].std(), 0.02, frames[0].size)
    assert abs(np.corrcoef(frames[0].ravel(), frames[1].ravel())[0, 1]) < 5 / math.sqrt(frames[0].size)
    assert told.to_dict()["frames"] == 5


@pytest.mark.parametrize("drift", [1.0, 0.5])
def test_a_drift_moves_the_scene_to_the_right(tmp_path: Path, drift: float) -> None:
    path = tmp_path / "stack.tif"
    simulate.run(SimulateOptions(path, scene="photo", size=(64, 96), frames=3, drift_px=drift))
    first, _, third = (plane.load().astype(float) for plane in images.read(path).planes)
    shift = round(2 * drift)
    assert third[:, shift:] == pytest.approx(first[:, :-shift], abs=2)
    assert np.abs(third - first).max() > 100


def test_the_truth_stands_beside_the_file(flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "noisy.tif"
    told = simulate.run(SimulateOptions(path, clean=flat, noise=NoiseOptions(shot_gain=1e-3)))
    truth = tmp_path / "noisy.tif.truth.json"
    assert truth.read_text() == told.dumps()
    assert simulate.read_noise_options(truth) == NoiseOptions(shot_gain=1e-3)
    path.unlink()
    with pytest.raises(UsageError, match=r"truth\.json: exists"):
        simulate.run(SimulateOptions(path, clean=flat))
    assert not path.exists()


@pytest.mark.parametrize(
    "change", [{"frames": 0}, {"frames": 2, "output": Path("a.png")}, {"bleach": 1.0}, {"drift_px": math.nan}]
)
def test_impossible_stacks(tmp_path: Path, change: dict[str, object]) -> None:
    options = SimulateOptions(tmp_path / "a.tif", scene="flat", size=(32, 32))
    with pytest.raises(UsageError, match=r"--frames|--drift"):
        simulate.run(replace(options, **change))  # type: ignore[arg-type]


def test_a_stack_is_gray(colour: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gray"):
        simulate.run(SimulateOptions(tmp_path / "a.tif", clean=colour, frames=2))
    assert not list(tmp_path.glob("a.tif*"))


def test_rows_of_batch_can_be_simulated_anew(tmp_path: Path) -> None:
    failed = {"schema": "noisediag.report/1", "status": "error"}
    entry = {"name": "shot_gain", "value": 2e-4, "present": 0.9}
    row = {"schema": "noisediag.report/1", "status": "ok", "planes": [{"parameters": [entry]}]}
    report = tmp_path / "report.jsonl"
    report.write_text("".join(json.dumps(one) + "\n" for one in (failed, row)))
    assert simulate.read_noise_options(report) == NoiseOptions(shot_gain=2e-4)
    report.write_text(json.dumps(failed) + "\n")
    with pytest.raises(UnreadableError):
        simulate.read_noise_options(report)
