"""Lines that users rely on, broken one at a time: `python tests/mutants.py [WORD...]` says which test notices.

Each mutant is a line of the package and what stands in its place; `tests` are the tests that must fail then, each of
them. The package is copied into a temporary folder, with the tests, and nothing here is touched. Words pick the
mutants whose names hold them. Exit code 1 where a mutant survives a test of its own, or where its line is not found
exactly once: then the line was rewritten, and the table below is to follow it. About four seconds of CPU a mutant.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOUBTS = "tests/readout/test_doubts.py::"
CEILING = "tests/readout/test_saturation.py::"
SENSOR = "tests/readout/test_sensor.py::"
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?)(\[\S*\])?(?: - .*)?$", re.MULTILINE)
SOME_FAILED, NONE_FAILED = 1, 0  # pytest's exit codes; others mean that tests could not be run


@dataclass(frozen=True)
class Mutant:
    """`old`, which stands once in `file`, becomes `new`; every one of `tests`, pytest's node ids, must then fail.

    A test with parameters fails where it fails for any of them, unless the id names one.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def golden(*pictures: str) -> tuple[str, ...]:
    """The golden answers of `pictures`."""
    return tuple(f"tests/golden/test_golden.py::test_answer[{name}]" for name in pictures)


MUTANTS = (
    # Bounds and nulls
    Mutant(
        "upper bounds",
        "noisediag/readout/sensor.py",
        "MAX_COMPONENT_RATIO = 1.5 ",
        "MAX_COMPONENT_RATIO = 6.0 ",
        (SENSOR + "TestUpperBounds", *golden("flat_with_unknown_offset", "tiny")),
    ),
    Mutant(
        "joint widening",
        "noisediag/readout/sensor.py",
        "JOINT_WIDENING = 1.6\n",
        "JOINT_WIDENING = 16.0\n",
        (SENSOR + "TestPlanesThatDiffer", *golden("raw_planes_differ")),
    ),
    Mutant(
        "never planes_differ",
        "noisediag/readout/sensor.py",
        "bounds and max(lows) > min(highs)",
        "bounds and False",
        (SENSOR + "TestPlanesThatDiffer", *golden("raw_planes_differ")),
    ),
    Mutant(
        "never few_pixels",
        "noisediag/readout/sensor.py",
        'flags.append("few_pixels")',
        "pass",
        (SENSOR + "TestFlags::test_few_pixels", *golden("tiny")),
    ),
    Mutant(
        "never out_of_domain",
        "noisediag/readout/sensor.py",
        'flags.append("out_of_domain")',
        "pass",
        (SENSOR + "TestFlags::test_out_of_domain", *golden("outside_of_what_was_trained")),
    ),
    Mutant(
        "never out_of_range",
        "noisediag/readout/sensor.py",
        'flag = "out_of_range"',
        "flag = None",
        (SENSOR + "TestFlags::test_out_of_range", *golden("stronger_than_any_camera")),
    ),
    Mutant(
        "drowned ignored",
        "noisediag/readout/sensor.py",
        'hidden = level.hidden and name in ("shot_gain", "read_noise")',
        "hidden = False",
        (SENSOR + "TestBelowTheLevels::test_is_bounded_and_not_measured", *golden("hidden_below_half_a_step")),
    ),
    Mutant(
        "curve low never 0",
        "noisediag/readout/sensor.py",
        "sigmas * np.exp(low) if any_noise else np.zeros_like(sigmas)",
        "sigmas * np.exp(low)",
        (SENSOR + "TestBelowTheLevels", *golden("hidden_below_half_a_step", "nothing_but_content")),
    ),
    Mutant(
        "electrons at white under unknown black",
        "noisediag/footprint/derived.py",
        "_saturation(plane) if linear and plane.offset_known else None",
        "_saturation(plane) if linear else None",
        (
            "tests/footprint/test_unknown_scale.py::test_electrons_at_white_need_both[offset_known]",
            *golden("channels_of_12_bits"),
        ),
    ),
    # Calibration
    Mutant(
        "alarm shift off",
        "noisediag/readout/sensor.py",
        "answer.reading.present[0].double().cpu() - shifts",
        "answer.reading.present[0].double().cpu()",
        (SENSOR + "TestCalibration::test_an_alarm_is_given_beyond_the_shift_only", *golden("sample")),
    ),
    Mutant(
        "curve's upper width x 0.2",
        "noisediag/readout/sensor.py",
        "middle + high_factor * (above - middle), 0.0",
        "middle + 0.2 * high_factor * (above - middle), 0.0",
        ("tests/test_coverage.py", *golden("flat", "raw_with_pedestal")),
    ),
    Mutant(
        "conformal factors off",
        "noisediag/cop/calibration.py",
        "return float(low), float(high)\n\n\ndef limit_shift",
        "return 1.0, 1.0\n\n\ndef limit_shift",
        (SENSOR + "TestCalibration::test_factors_stretch_each_side_of_an_interval", *golden("flat")),
    ),
    Mutant(
        "limit shift off",
        "noisediag/readout/sensor.py",
        " + limit_shift(calibration, name, answer, raw=raw)",
        "",
        (SENSOR + "TestCalibration::test_the_limit_of_what_is_not_seen_is_moved", *golden("flat")),
    ),
    Mutant(
        "RAW calibration ignored",
        "noisediag/cop/calibration.py",
        '    if raw:\n        return f"raw-size{size}"\n',
        "",
        (SENSOR + "TestCalibration::test_raw_files_have_theirs", *golden("raw_with_pedestal", "sample")),
    ),
    Mutant(
        "conformal groups ignored",
        "noisediag/cop/calibration.py",
        "table.get(group(answer.block_mean.shape[1], signal, smooth, raw=raw), table[EVERYTHING])",
        "table[EVERYTHING]",
        (SENSOR + "TestCalibration::test_each_group_of_pictures_has_its_own", *golden("flat", "tiny")),
    ),
    Mutant(
        "finite-sample correction off",
        "noisediag/training/calibration.py",
        "math.ceil((len(scores) + 1) * (1 - tail))",
        "math.ceil(len(scores) * (1 - tail))",
        (
            "tests/training/test_calibration.py::test_the_conformal_quantile_has_the_rank_that_counts_the_next_case",
            "tests/training/test_calibration.py::test_few_cases_still_give_the_coverage_that_is_promised",
        ),
    ),
    Mutant(
        "rendered interval low taken from high",
        "noisediag/readout/rendered.py",
        "return factors * reading.spread",
        "return factors[::-1] * reading.spread",
        ("tests/readout/test_rendered_interval.py",),
    ),
    # Physics
    Mutant(
        "q^2/12 floor off",
        "noisediag/cop/curve.py",
        "torch.maximum(RELATIVE_FLOOR * level, expected.uniform[:, 0].double())",
        "RELATIVE_FLOOR * level",
        (SENSOR + "TestBelowTheLevels", *golden("nothing_but_content")),
    ),
    Mutant(
        "ripple sign flipped",
        "noisediag/cop/curve.py",
        "(tails - ripple)",
        "(tails + ripple)",
        (
            SENSOR + "TestAtTheLimits::test_coarse_levels_give_the_same_noise_wherever_the_mean_lies_between_two",
            *golden("flat_on_coarse_levels"),
        ),
    ),
    Mutant(
        "ripple's own sign flipped",
        "noisediag/cop/closed_forms.py",
        "ripple = -(4 * variance",
        "ripple = (4 * variance",
        (
            "tests/cop/test_curve.py::test_rounded_noise_has_the_variance_that_its_phase_gives",
            *golden("flat_on_coarse_levels"),
        ),
    ),
    Mutant(
        "clipping leverage ignored",
        "noisediag/cop/curve.py",
        "(mixed - 1) * expected.cut.leverage)",
        "(mixed - 1))",
        (SENSOR + "TestAtTheLimits::test_noise_that_black_cuts_is_given_back", *golden("clipped")),
    ),
    Mutant(
        "clipping shift ignored",
        "noisediag/cop/curve.py",
        "signal = tokens.mean + observed.sqrt() * cut.shift",
        "signal = tokens.mean",
        (SENSOR + "TestAtTheLimits::test_noise_that_black_cuts_is_given_back", *golden("clipped")),
    ),
    # Reading
    Mutant(
        "JPEG alignment off",
        "noisediag/readout/tiles.py",
        'align = BLOCK if image.domain == "rendered" else 1',
        "align = 1",
        (SENSOR + "TestTiles", *golden("jpeg_of_quality_90", "jpeg_of_quality_40_gray")),
    ),
    Mutant(
        "evidence of a lattice ln 2",
        "noisediag/images/levels.py",
        "EVIDENCE = math.log(1e4)",
        "EVIDENCE = math.log(2)",
        (
            "tests/images/test_levels.py::test_a_coarse_step_needs_more_levels_than_chance_would_place",
            "tests/images/test_levels.py::test_a_handful_of_levels_is_no_lattice_by_chance",
        ),
    ),
    Mutant(
        "tolerance of levels 0.95",
        "noisediag/images/levels.py",
        "tolerance = 0.55 if step < _FINE else 0.95",
        "tolerance = 0.95",
        ("tests/images/test_levels.py::test_codes_that_scatter_more_than_rounding_does_are_no_lattice",),
    ),
    Mutant(
        "DNG WhiteLevel ignored",
        "noisediag/images/raw_levels.py",
        "white = float(tags.white[0])",
        "pass",
        ("tests/images/test_dng_levels.py::test_a_white_level_that_is_no_whole_number_is_kept",),
    ),
    # Labels
    Mutant(
        "K fitted to 95 % of saturation",
        "noisediag/labels/photon_transfer.py",
        "LINEAR = 0.7 ",
        "LINEAR = 0.95 ",
        (
            "tests/labels/test_photon_transfer.py::TestPhotonTransfer::test_levels_near_saturation_do_not_count_for_the_gain",
        ),
    ),
    Mutant(
        "PRNU without dark subtraction",
        "noisediag/labels/photon_transfer.py",
        "variance = level.pattern - (dark[0].pattern if dark else 0.0)",
        "variance = level.pattern",
        (
            "tests/labels/test_photon_transfer.py::TestPhotonTransfer::test_the_dark_pattern_is_no_response_of_the_light",
        ),
    ),
    Mutant(
        "GAIN_CHANCE off",
        "noisediag/labels/screening.py",
        "GAIN_CHANCE = 3.0 ",
        "GAIN_CHANCE = 0.0 ",
        ("tests/labels/test_screening.py::test_chance_is_no_gain",),
    ),
    Mutant(
        "unit alias percent",
        "noisediag/labels/csv.py",
        ', "percent": "%"',
        "",
        ("tests/labels/test_csv.py::test_units_are_converted",),
    ),
    # Batch
    Mutant(
        "fsync removed",
        "noisediag/batch/journal.py",
        "            os.fsync(self._file.fileno())\n",
        "",
        ("tests/batch/test_durability.py::test_rows_are_on_the_disk_when_append_returns",),
    ),
    Mutant(
        "fsync of the folder removed",
        "noisediag/batch/journal.py",
        "                _sync_folder(path.parent)\n",
        "",
        ("tests/batch/test_durability.py::test_rows_are_on_the_disk_when_append_returns",),
    ),
    Mutant(
        "options of a new run not compared",
        "noisediag/batch/journal.py",
        "for name in {**before, **run}:",
        "for name in before:",
        ("tests/batch/test_durability.py::test_an_option_that_the_first_run_did_not_have_is_another_run",),
    ),
    Mutant(
        "an unreadable file not retried",
        "noisediag/batch/run.py",
        '("" if item["row"].get("error", {}).get("code") == "permission" else key, item)',
        "(key, item)",
        (
            "tests/batch/test_durability.py::test_a_file_that_could_not_be_opened_is_tried_again_and_a_damaged_one_is_not",
        ),
    ),
    # Training
    Mutant(
        "gradient clipping off",
        "noisediag/training/fit.py",
        "nn.utils.clip_grad_norm_(now.parameters, config.clip_norm)",
        'nn.utils.clip_grad_norm_(now.parameters, float("inf"))',
        ("tests/training/test_fit.py::test_one_huge_gradient_does_not_carry_the_weights_away",),
    ),
    Mutant(
        "electrons counted in speckle",
        "noisediag/readout/doubts.py",
        '"speckle": ("shot_gain",),',
        '"speckle": (),',
        (DOUBTS + "TestConsequences::test_there_are_no_electrons_under_another_law[speckle]",),
    ),
    Mutant(
        "electrons counted in a smoothed RAW file",
        "noisediag/readout/doubts.py",
        'plane = _without(plane, ("shot_gain",), "smoothed")',
        'plane = _without(plane, (), "smoothed")',
        (DOUBTS + "TestPictures::test_a_smoothed_raw_file_has_no_electrons",),
    ),
    Mutant(
        "uneven noise inside of the interval of the even one",
        "noisediag/readout/doubts.py",
        "low=min(point.low, point.sigma * low)",
        "low=point.low",
        (DOUBTS + "TestConsequences::test_uneven_noise_holds_both_extremes",),
    ),
    Mutant(
        "a doubtful black believed",
        "noisediag/estimator.py",
        "part = doubts.without_black(part)",
        "pass",
        (DOUBTS + "TestPictures::test_a_black_that_is_stated_too_low_is_told",),
    ),
    Mutant(
        "saturated pixels taken for light",
        "noisediag/readout/tiles.py",
        "return self.tiles if self.ceiling is None else np.minimum(self.tiles, np.float32(self.ceiling))",
        "return self.tiles",
        (CEILING + "test_noise_below_a_ceiling_is_read_as_without_it[6.0]",),
    ),
    Mutant(
        "a bright surface taken for a ceiling",
        "noisediag/readout/saturation.py",
        "> OUTSHINES * found.scatter**2",
        "> 0",
        (CEILING + "test_a_pile_as_noisy_as_its_light_is_outshone_by_nothing",),
    ),
    Mutant(
        "a pile as wide as the noise is a ceiling",
        "noisediag/traces/saturation.py",
        "if scatter > NARROW * noise or",
        "if",
        ("tests/traces/test_saturation.py::test_a_bright_sky_over_dark_ground_is_no_ceiling",),
    ),
    Mutant(
        "masked pixels never contradict",
        "noisediag/images/image.py",
        "return abs(self.black_dn - self.stated_dn) > max(2 * self.step_dn, 0.5 * self.noise_dn)",
        "return False",
        ("tests/images/test_masked.py::test_masked_pixels_overrule_a_black_that_they_contradict",),
    ),
)


def copy_to(folder: Path) -> None:
    """The package, its model, its tests and their settings."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("noisediag", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "models").symlink_to(ROOT / "models")


def failures(folder: Path, tests: Sequence[str]) -> set[str]:
    """The node ids that fail, with and without their parameters. Raises RuntimeError where tests cannot be run."""
    shared = os.environ.get("NOISEDIAG_SHARED", str(ROOT.parent / "shared"))
    environment = {**os.environ, "PYTHONPATH": str(folder), "NOISEDIAG_SHARED": shared}
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--no-header", "--tb=no", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (SOME_FAILED, NONE_FAILED):
        raise RuntimeError(f"pytest ends with {done.returncode}: {(done.stdout + done.stderr).strip()[-500:]}")
    found = set()
    for test, parameters in FAILED.findall(done.stdout):
        found |= {test, test + parameters}
    return found


def survived(failed: set[str], tests: Sequence[str]) -> Iterator[str]:
    """Those of `tests`, which may be whole files or classes, that did not fail."""
    for test in tests:
        if not any(one == test or one.startswith(f"{test}::") for one in failed):
            yield test


def judge(mutant: Mutant, folder: Path) -> str | None:
    """What is wrong with `mutant`; None where all of its tests notice it."""
    path = folder / mutant.file
    text = path.read_text("utf-8")
    count = text.count(mutant.old)
    if count != 1:
        return f"its line stands {count} times in {mutant.file}: {mutant.old!r}"
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    try:
        missed = list(survived(failures(folder, mutant.tests), mutant.tests))
    except RuntimeError as error:
        return str(error)
    finally:
        path.write_text(text, "utf-8")
    return "survives " + ", ".join(missed) if missed else None


def main(words: Sequence[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_to(folder)
        broken = failures(folder, sorted({test for mutant in chosen for test in mutant.tests}))
        if broken:
            sys.stdout.write(f"without any mutant these fail: {', '.join(sorted(broken))}\n")
            return 1
        for mutant in chosen:
            problem = judge(mutant, folder)
            wrong += problem is not None
            sys.stdout.write(f"{'killed  ' if problem is None else 'SURVIVED'} {mutant.name}")
            sys.stdout.write(f" ({len(mutant.tests)} tests)\n" if problem is None else f": {problem}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - wrong} of {len(chosen)} mutants are killed\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
