"""Breaks important lines one at a time, and shows which test notices: `python tests/mutants.py [WORD ...]`.

Each mutant is a changed line of the package that would leave a user with a wrong answer. The package is copied, one
mutant is planted in the copy, and the tests that should kill it run against the copy. The exit code is 1 where a mutant
survives, or where its line is not found exactly once: mend the table then. WORDs choose mutants by their names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
GOLDEN = "tests/golden/test_golden.py"
READOUT, CURVE = "readout/sensor.py", "cop/curve.py"


@dataclass(frozen=True)
class Mutant:
    """`old` of noisediag/`file` becomes `new`; `tests`: arguments of pytest."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = (GOLDEN,)


MUTANTS = (
    Mutant("upper bounds 1.5 -> 6", READOUT, "MAX_COMPONENT_RATIO = 1.5", "MAX_COMPONENT_RATIO = 6.0"),
    Mutant("joint widening x 10", READOUT, "JOINT_WIDENING = 1.6", "JOINT_WIDENING = 16.0"),
    Mutant("never planes_differ", READOUT, "max(lows) > min(highs)", "max(lows) > min(highs) + 1e9"),
    Mutant("never few_pixels", READOUT, "bag.tiles.size < FEW_PIXELS", "bag.tiles.size < 0"),
    Mutant("never out_of_domain", READOUT, "float(answer.distance[0]) > threshold", "float(answer.distance[0]) > 1e9"),
    Mutant("never out_of_range", READOUT, "elif not declared.low <= middle <= declared.high:", "elif False:"),
    Mutant("hidden noise is measured", READOUT, "hidden = level.hidden and", "hidden = False and"),
    Mutant(
        "lower bound of the curve never 0", READOUT, "if any_noise else np.zeros_like(sigmas)", "if True else sigmas"
    ),
    Mutant("blocks of JPEG not aligned", "readout/tiles.py", 'BLOCK if image.domain == "rendered" else 1', "1"),
    Mutant(
        "alarm shift off", READOUT, "reading.present[0].double().cpu() - shifts", "reading.present[0].double().cpu()"
    ),
    Mutant("upper width of the curve x 0.2", READOUT, "high_factor * (above - middle)", "0.2 * (above - middle)"),
    Mutant(
        "conformal factors off",
        READOUT,
        "low, high = middle - low_factor * (middle - low), middle + high_factor * (high - middle)",
        "low, high = low, high",
    ),
    Mutant("shift of limits off", READOUT, ") + limit_shift(", ") + 0 * limit_shift("),
    Mutant("calibration of RAW ignored", READOUT, 'raw = image.domain == "raw-linear"', "raw = False"),
    Mutant(
        "conformal groups ignored",
        "cop/calibration.py",
        "table.get(group(answer.block_mean.shape[1], span, smooth, raw=raw), table[EVERYTHING])",
        "table[EVERYTHING]",
    ),
    Mutant(
        "finite-sample correction off",
        "training/calibration.py",
        "(len(scores) + 1) * (1 - tail)",
        "len(scores) * (1 - tail)",
        ("tests/training",),
    ),
    Mutant(
        "floor q^2/12 off",
        CURVE,
        "torch.maximum(RELATIVE_FLOOR * level, expected.uniform[:, 0].double())",
        "RELATIVE_FLOOR * level",
        (GOLDEN, "tests/cop/test_curve.py"),
    ),
    Mutant(
        "sign of the ripple",
        "cop/closed_forms.py",
        "ripple = -(4 * variance",
        "ripple = (4 * variance",
        (GOLDEN, "tests/cop"),
    ),
    Mutant("leverage of clipping ignored", CURVE, "(mixed - 1) * expected.cut.leverage)", "(mixed - 1))"),
    Mutant("shift of clipping ignored", CURVE, "tokens.mean + observed.sqrt() * cut.shift", "tokens.mean"),
    Mutant(
        "lower bound of processed noise from its upper width",
        "readout/rendered.py",
        "sigmas * np.exp(-below)",
        "sigmas * np.exp(-above)",
    ),
    Mutant("evidence for a lattice ln 2", "images/levels.py", "math.log(1e4)", "math.log(2)", ("tests/images", GOLDEN)),
    Mutant(
        "tolerance of levels 0.95",
        "images/levels.py",
        "0.55 if step < _FINE else 0.95",
        "0.95",
        ("tests/images", GOLDEN),
    ),
    Mutant("DNG WhiteLevel ignored", "images/raw.py", "if tags.white is not None:", "if False:", ("tests/images",)),
    Mutant(
        "electrons at white under an unknown black",
        "footprint/derived.py",
        "linear and plane.offset_known and plane.white_known",
        "linear and plane.white_known",
        ("tests/footprint", GOLDEN),
    ),
    Mutant(
        "K fitted to 95 % of saturation",
        "labels/photon_transfer.py",
        "LINEAR = 0.7",
        "LINEAR = 0.95",
        ("tests/labels",),
    ),
    Mutant(
        "PRNU without dark subtraction",
        "labels/photon_transfer.py",
        "level.pattern - (dark[0].pattern if dark else 0.0)",
        "level.pattern",
        ("tests/labels",),
    ),
    Mutant(
        "chance of a gain off",
        "labels/screening.py",
        "abs(gain) < GAIN_CHANCE * chance",
        "abs(gain) < 0 * chance",
        ("tests/labels", "tests/studies/test_measure.py"),
    ),
    Mutant("unit alias percent", "labels/csv.py", '"percent": "%"', '"percentage": "%"', ("tests/labels",)),
    Mutant(
        "fsync of the journal removed", "batch/journal.py", "os.fsync(self._file.fileno())", "pass", ("tests/batch",)
    ),
    Mutant(
        "options of a new run not compared",
        "batch/journal.py",
        "if before.get(name) != run.get(name):",
        "if False:",
        ("tests/batch/test_journal.py", "tests/batch/test_run.py"),
    ),
    Mutant(
        "an unreadable file is not tried again",
        "batch/run.py",
        '== "permission" else key',
        '== "never" else key',
        ("tests/batch/test_durability.py", "tests/batch/test_run.py"),
    ),
    Mutant(
        "gradient clipping off",
        "training/fit.py",
        "nn.utils.clip_grad_norm_(now.parameters, config.clip_norm)",
        "nn.utils.clip_grad_norm_(now.parameters, 1e30)",
        ("tests/training",),
    ),
)


def survives(mutant: Mutant, copy: Path) -> str | None:
    """Why the mutant cannot be counted as killed; None where a test noticed."""
    file = copy / "noisediag" / mutant.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        return f"its line stands {text.count(mutant.old)} times in {mutant.file}"
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    finally:
        file.write_text(text, encoding="utf-8")
    if done.returncode == 1:
        sys.stdout.write(
            "".join(f"    {line}\n" for line in done.stdout.splitlines() if line.startswith("FAILED"))[:200]
        )
        return None
    return "no test failed" if done.returncode == 0 else f"pytest ended with {done.returncode}"


def main(words: list[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", ".*_cache"))
        for mutant in chosen:
            why = survives(mutant, copy)
            alive += why is not None
            sys.stdout.write(f"{'killed' if why is None else 'SURVIVES'}: {mutant.name}{f' ({why})' if why else ''}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - alive} of {len(chosen)} killed\n")
    return 1 if alive else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
