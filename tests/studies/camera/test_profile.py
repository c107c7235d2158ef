"""Noise profiles: what was planted comes back, and every format says the same."""

import json
import math
import shutil
import subprocess
from dataclasses import replace
from importlib import resources
from itertools import product

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner

from noisediag import images
from noisediag.cli import app
from noisediag.errors import UnsupportedError, UsageError
from noisediag.estimator import Estimator
from noisediag.footprint.plane import CurvePoint, VarianceLaw
from noisediag.images.metadata import dng_tags, noise_profile_group
from noisediag.studies import simulate
from noisediag.studies.camera import profile, profile_report

ISOS = (200, 800)
ALL_ISOS = (100, 200, 400, 800, 1600, 3200)
SCENES = ("photo", "leaves", "gradient", "satellite", "underwater", "stars", "tissue", "photo")
EXPOSURES = (1.0, 1.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
READ_NOISE = 1.5e-3


def shot_gain(iso):
    return 1e-5 * iso / 100


@pytest.fixture(scope="module")
def isos(sized):
    return sized(ISOS, ALL_ISOS)


@pytest.fixture(scope="module")
def raws(tmp_path_factory, isos):
    """Eight Bayer files at each ISO setting, of different scenes and exposures."""
    folder = tmp_path_factory.mktemp("raws")
    for seed, (iso, (scene, exposure)) in enumerate(product(isos, zip(SCENES, EXPOSURES, strict=True))):
        noise = simulate.NoiseOptions(shot_gain=shot_gain(iso), read_noise=READ_NOISE)
        output = folder / f"{iso}-{scene}-{seed}.dng"
        simulate.run(
            simulate.SimulateOptions(
                output=output, scene=scene, size=(512, 512), noise=noise, seed=seed, bit_depth=14, black_dn=512,
                exposure=exposure,
            )
        )  # fmt: skip
    return sorted(folder.glob("*.dng"))


@pytest.fixture
def camera(make_footprint, make_plane):
    """`camera(iso, S, O, changes)`: a file of a camera with that line, its curve off by a factor where given."""

    def make(iso, shot, offset, *, factor=1.0, model="One", colours=("R", "G1", "G2", "B")):
        law = VarianceLaw(shot, offset, 0.0, 0.0)
        curve = tuple(
            CurvePoint(x, law.sigma(x) * factor, law.sigma(x) * factor * 0.97, law.sigma(x) * factor * 1.03)
            for x in np.geomspace(1e-3, 0.9, 16).tolist()
        )
        planes = tuple(make_plane(name, curve=curve, law=law) for name in (*colours, "all"))
        return make_footprint(planes=planes, acquisition={"Make": "NIKON CORPORATION", "Model": model, "ISO": iso})

    return make


def four_isos(camera, model="NIKON D7000"):
    return [camera(iso, 1e-7 * iso, 1e-6, model=model) for iso in (100, 200, 400, 800)]


class TestPooling:
    def test_the_line_comes_back(self, camera):
        (entry,) = profile.pool([camera(100, 2e-5, 3e-7)] * 3).entries
        assert [colour.name for colour in entry.colours] == ["R", "G", "B"]
        for colour in entry.colours:
            assert colour.S.value == pytest.approx(2e-5, rel=1e-3)
            assert colour.O.value == pytest.approx(3e-7, rel=1e-2)
            assert colour.S.low < 2e-5 < colour.S.high

    def test_files_whose_texture_was_taken_for_noise_do_not_move_it(self, camera):
        good, bad = camera(100, 2e-5, 3e-7), camera(100, 2e-5, 3e-7, factor=3.0)
        (entry,) = profile.pool([good] * 6 + [bad] * 2).entries
        assert entry.colours[1].S.value == pytest.approx(2e-5, rel=0.02)

    def test_no_light_is_no_negative_variance(self):
        x = np.geomspace(1e-3, 1, 32)
        slope, offset = profile.fit_lines(x[None], np.log(2e-5 * x**1.1)[None], np.full((1, 32), 0.05))
        assert offset[0] == 0
        assert slope[0] == pytest.approx(2e-5, rel=0.5)

    def test_the_same_seed_gives_the_same_intervals(self, camera):
        files = [camera(100, 2e-5, 3e-7, factor=f) for f in (0.98, 1.0, 1.01)]
        assert profile.pool(files) == profile.pool(files)

    def test_interpolates_between_settings_and_not_beyond(self, camera):
        files = [camera(100, 1e-5, 1e-6), camera(400, 4e-5, 4e-6)]
        entry = profile.pool(files, isos=(200, 400)).entries[1]
        assert (entry.iso, entry.files) == (200, ())
        assert entry.colours[0].S.value == pytest.approx(2e-5, rel=0.01)
        assert entry.colours[0].O.value == pytest.approx(2e-6, rel=0.02)
        with pytest.raises(UsageError, match="from 100 to 400"):
            profile.pool(files, isos=(800,))

    def test_warns_where_the_gain_falls_with_the_iso(self, camera):
        assert profile.pool(four_isos(camera)).warnings == ()
        (warning,) = profile.pool([camera(100, 2e-5, 1e-6), camera(200, 1e-5, 1e-6)]).warnings
        assert "R, G, B does not rise from ISO 100 to 200" in warning

    def test_refuses_what_has_no_profile(self, make_footprint):
        with pytest.raises(UnsupportedError, match="rendered"):
            profile.suitable(make_footprint(domain="rendered"))
        with pytest.raises(UnsupportedError, match="Model and ISO"):
            profile.suitable(make_footprint(acquisition={"Make": "Maker"}))
        with pytest.raises(UnsupportedError, match="filtered"):
            profile.suitable(make_footprint(flags=("smoothed",)))

    def test_no_line_without_a_shot_gain(self, camera, make_plane):
        lit = camera(100, 2e-5, 3e-7)
        planes = tuple(make_plane(plane.name, {"shot_gain": None}, curve=plane.curve) for plane in lit.planes)
        dark = replace(lit, planes=planes, acquisition={**lit.acquisition, "ISO": 800})
        found = profile.pool([lit, dark])
        assert [entry.iso for entry in found.entries] == [100]
        assert any("ISO 800: left out" in warning for warning in found.warnings)
        with pytest.raises(UsageError, match="grows with the light"):
            profile.pool([dark])
        assert dark.derived.dng_noise_profile is None
        assert lit.derived.dng_noise_profile is not None
        other = replace(dark, acquisition=lit.acquisition)
        assert len(profile.pool([lit, other]).entries[0].files) == 2  # a dark one beside it says what O is


class TestSimulatedRaws:
    @pytest.mark.acceptance
    def test_s_within_5_and_o_within_15_percent(self, raws, isos, say):
        estimator = Estimator(device="cpu")
        pooled = profile.pool([profile.suitable(estimator.estimate(images.read(path))) for path in raws])
        assert [entry.iso for entry in pooled.entries] == list(isos)
        for entry in pooled.entries:
            for colour in entry.colours:
                off = colour.S.value / shot_gain(entry.iso) - 1, colour.O.value / READ_NOISE**2 - 1
                say(f"profile: ISO {entry.iso:g} {colour.name}, S off by {off[0]:+.1%}, O by {off[1]:+.1%}")
                assert colour.S.value == pytest.approx(shot_gain(entry.iso), rel=0.05)
                assert colour.O.value == pytest.approx(READ_NOISE**2, rel=0.15)

    def test_the_commands_of_dng_write_what_is_read_back(self, raws, camera, tmp_path):
        exiftool = shutil.which("exiftool")
        if exiftool is None:
            pytest.skip("exiftool is not installed (Debian: libimage-exiftool-perl)")
        source = tmp_path / "a b.dng"
        shutil.copy(raws[0], source)
        before = source.read_bytes()
        one = profile.pool([camera(100, 2e-5, 3e-7)]).entries[0]
        entry = profile.Entry(one.make, one.model, one.iso, (str(source),), one.colours)
        text = profile_report.dumps_dng(profile.Profile((entry,), (), None))
        subprocess.run(["sh", "-c", text], check=True, capture_output=True)
        written = dng_tags(tmp_path / "a b.profiled.dng").acquisition["NoiseProfile"]
        planted = [value for colour in entry.colours for value in (colour.S.value, colour.O.value)]
        assert written == pytest.approx(planted, rel=1e-5)
        assert source.read_bytes() == before

    def test_dng_files_get_a_command_and_others_a_comment(self, raws, camera):
        assert noise_profile_group(raws[0]) == "IFD0"
        entry = profile.pool([camera(100, 2e-5, 3e-7)]).entries[0]
        named = profile.Entry(entry.make, entry.model, 100, (str(raws[0]),), entry.colours)
        command, comment = profile_report.dumps_dng(
            profile.Profile((named, profile.Entry(entry.make, entry.model, 200, (), entry.colours)), (), None)
        ).splitlines()
        assert command.startswith("exiftool '-IFD0:NoiseProfile=2")
        assert command.endswith(str(raws[0]))
        assert comment.startswith("# NIKON CORPORATION One ISO 200: '-SubIFD:NoiseProfile=2")


class TestReports:
    def test_darktable_matches_the_schema(self, camera):
        text = profile_report.dumps_darktable(profile.pool(four_isos(camera)))
        schema = json.loads(resources.files("noisediag.reports").joinpath("darktable.schema.json").read_text("utf-8"))
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))
        (maker,) = json.loads(text)["noiseprofiles"]
        assert (maker["maker"], maker["models"][0]["model"]) == ("Nikon", "D7000")
        first = maker["models"][0]["profiles"][0]
        assert (first["name"], first["iso"]) == ("D7000 iso 100", 100)
        assert first["a"] == pytest.approx([1e-5] * 3, rel=0.01)

    def test_darktable_wants_four_settings_and_three_colours(self, camera):
        with pytest.raises(UsageError, match="at least 4"):
            profile_report.dumps_darktable(profile.pool(four_isos(camera)[:3]))
        grey = [camera(iso, 1e-5, 1e-6, colours=("R", "B")) for iso in (100, 200, 400, 800)]
        with pytest.raises(UsageError, match="red, green and blue"):
            profile_report.dumps_darktable(profile.pool(grey))

    def test_darktable_s_caveat(self, camera):
        (caveat,) = profile_report.darktable_doubts(profile.pool(four_isos(camera)))
        assert "demosaiced" in caveat
        assert "11 times" in caveat

    def test_json_holds_the_values_with_units(self, camera):
        report = json.loads(profile_report.dumps(profile.pool(four_isos(camera))))
        assert report["schema"] == "noisediag.profile/1"
        (found,) = report["cameras"]
        green = found["profiles"][0]["colours"][1]
        assert green["S"]["value"] == pytest.approx(1e-5, rel=0.01)
        assert green["S"]["unit"] == "1/e-"
        assert found["profiles"][0]["dng_noise_profile"][1] == [green["S"]["value"], green["O"]["value"]]

    def test_a_plot(self, camera, tmp_path):
        profile_report.plot(profile.pool(four_isos(camera), isos=(300,)), tmp_path / "p.png")
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


class TestCommand:
    def run(self, *arguments):
        return CliRunner().invoke(app, ["profile", *map(str, arguments)])

    def test_table_and_failures(self, raws, tmp_path):
        bad = tmp_path / "bad.dng"
        bad.write_bytes(b"no picture")
        result = self.run(raws[0], bad, "--plot", tmp_path / "p.png")
        assert result.exit_code == 3
        assert "noisediag simulated" in result.stdout
        assert all(len(line) <= 80 for line in result.stdout.splitlines())
        assert result.stderr.startswith(f"noisediag: {bad}: ")
        assert (tmp_path / "p.png").exists()

    def test_writes_a_file(self, raws, tmp_path):
        result = self.run(raws[0], "--to", "json", "-o", tmp_path / "p.json")
        assert (result.exit_code, result.stdout) == (0, "")
        entry = json.loads((tmp_path / "p.json").read_text("utf-8"))["cameras"][0]["profiles"][0]
        assert entry["iso"] == ISOS[0]
        assert math.isfinite(entry["colours"][0]["S"]["high"])

    @pytest.mark.parametrize(
        "options", [("--iso", "x"), ("--iso", "-1"), ("--to", "dng", "-o", "a.json"), ("--plot", "p.jpg")]
    )
    def test_refused_before_any_work(self, raws, options, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = self.run(raws[0], *options)
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1

    def test_none_usable(self, tmp_path):
        assert self.run(tmp_path / "gone.dng").exit_code == 4
