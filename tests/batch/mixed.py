"""A folder of RAW, TIFF, PNG and JPEG, 2 % of them bad in every way, through runs that are killed:
`python tests/batch/mixed.py FOLDER 2000 [SECONDS]`, the time that a file may take (on a busy machine more).

Every file must have one row; a run that is killed ten times at random moments and resumed must write the bytes of one
that is left alone, and leave no process behind. Crashes, hangs, growth and refused permissions are planted in the
worker by the file's name (see misbehaving.py), for no decoder of ours is known to do it, and root may read all.
"""

import io
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

HERE = Path(__file__).parent
sys.path.append(str(HERE))

from mutate import mutate  # noqa: E402

from noisediag.images.dng_writing import DngTags, write_dng  # noqa: E402

WORKER = f"import sys; sys.path[:] = [*sys.argv[1:], {str(HERE)!r}]; import misbehaving; misbehaving.main_with_model()"
SUFFIXES = (".dng", ".tif", ".png", ".jpg")
SIDES = (64, 96, 128, 192, 256)
BOMB_SIDE = 17_000
BAD_SHARE = 0.02
PLANTED = ("segfault", "hang", "grow", "locked")
KINDS = 3 * len(SUFFIXES) + 2 + len(PLANTED) + 1  # see `spoiled`
ODD = (b" @SUM(A1) .dng", b"bytes-\xff\xfe.tif", b"=1+1.png", b"line\nbreak.jpg")  # in the order of SUFFIXES
FOLDERS = 7
TIMEOUT_S, MEMORY_MB = 30, 1000
KILLS = 10


def picture(rng, suffix):
    """The bytes of a valid file: a slope under shot and read noise."""
    down, across = (int(rng.choice(SIDES)) for _ in range(2))
    clean = np.linspace(0.1, 0.8, down)[:, None] * np.linspace(0.6, 1.0, across)
    noisy = clean + np.sqrt(1e-4 * clean + 1e-4) * rng.standard_normal(clean.shape)
    if suffix == ".dng":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.dng"
            tags = DngTags(256, 4095, (0.5, 1.0, 0.7), ((1e-4, 1e-4),) * 3, 400, 0.01, 2.8)
            write_dng(path, np.rint(256 + 3839 * noisy).clip(0, 4095).astype(np.uint16), tags)
            return path.read_bytes()
    buffer = io.BytesIO()
    if suffix == ".tif":
        tifffile.imwrite(buffer, np.rint(60_000 * noisy).clip(0, 65_535).astype(np.uint16), compression="zlib")
        return buffer.getvalue()
    codes = np.rint(255 * noisy).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        codes = np.stack([codes, codes[::-1], codes], -1)
    Image.fromarray(codes).save(buffer, *(("JPEG",) if suffix == ".jpg" else ("PNG",)))
    return buffer.getvalue()


def bombs():
    """Small files of 289 megapixels each, more than any camera has, by suffix."""
    empty = np.zeros((BOMB_SIDE, BOMB_SIDE), np.uint8)
    png, tif = io.BytesIO(), io.BytesIO()
    Image.fromarray(empty).save(png, "PNG", compress_level=1)
    tifffile.imwrite(tif, empty, compression="zlib")
    return {".png": png.getvalue(), ".tif": tif.getvalue()}


def spoiled(rng, chance):
    """Bad files without end, name and content (None: a folder), every kind in turn."""
    explosive = bombs()
    for number in itertools.count():
        for suffix in SUFFIXES:
            whole = picture(rng, suffix)
            yield f"cut-{number}{suffix}", whole[: len(whole) // 2]
            yield f"empty-{number}{suffix}", b""
            yield f"flipped-{number}{suffix}", mutate(whole, [whole], chance)
        for suffix, content in explosive.items():
            yield f"bomb-{number}{suffix}", content
        for word in PLANTED:
            yield f"{word}-{number}.png", picture(rng, ".png")
        yield f"folder-{number}.tif", None


def fill(folder, count, seed=0):
    """Write `count` files in all, among them BAD_SHARE bad ones (one of each kind at least) and odd names.

    The paths of the bad ones in `folder`.
    """
    rng, chance = np.random.default_rng(seed), random.Random(seed)
    bad = {}
    for name, content in itertools.islice(spoiled(rng, chance), max(round(BAD_SHARE * count), KINDS)):
        bad[f"{chance.randrange(FOLDERS)}/{name}"] = content
    for number in range(FOLDERS):
        (folder / str(number)).mkdir(parents=True)
    for name, content in bad.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
    for number in range(count - len(bad)):
        suffix = SUFFIXES[number % len(SUFFIXES)]
        name = ODD[number] if number < len(ODD) else f"{number % FOLDERS}/{number:05}{suffix}".encode()
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(picture(rng, suffix))
    return set(bad)


def command(folder, output, *options):
    """A run of the real model, with workers in which some names do harm."""
    code = f"import noisediag.batch.pool as pool; pool._COMMAND = {WORKER!r}\nfrom noisediag.cli import main; main()"
    limits = ("--timeout", str(TIMEOUT_S), "--memory-limit", str(MEMORY_MB), "--device", "cpu", "--workers", "2")
    table = str(output.with_suffix(".csv"))
    return [sys.executable, "-c", code, "batch", str(folder), "-o", str(output), "-o", table, *limits, *options]


def kill_and_resume(begin, journal, moments):
    """Start `begin` again and again; SIGKILL it when the journal has so many lines; the exit code of the last run."""
    for moment, delay in moments:
        with subprocess.Popen(begin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and lines(journal) < moment:
                time.sleep(0.01)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
    return subprocess.run(begin, capture_output=True, check=False).returncode


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def left_behind():
    """Workers of ours that still run (Linux)."""
    marks = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    return sum(b"misbehaving.main_with_model()" in mark and b"batch\0" not in mark for mark in marks)


def check(folder, count, kills=KILLS, seed=0):
    """Both runs; how many files have each status. Raises AssertionError."""
    bad = fill(folder / "in", count, seed)
    whole, resumed = folder / "whole.jsonl", folder / "resumed.jsonl"
    done = subprocess.run(command(folder / "in", whole), capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    rows = [json.loads(line) for line in whole.read_text("utf-8").splitlines()]
    names = sorted(os.fsencode(path) for path in (folder / "in").rglob("*.*"))
    assert len(names) == count
    assert len(rows) == count
    assert len({row["path"] for row in rows}) == count
    for row in rows:
        name = os.path.relpath(row["path"], folder / "in")
        assert (row["status"] == "ok") >= (name not in bad), row
    chance = random.Random(seed)
    moments = [
        (count * (0.05 + 0.9 * share), 0.2 * chance.random()) for share in sorted(chance.random() for _ in range(kills))
    ]
    code = kill_and_resume(command(folder / "in", resumed, "--resume"), Path(f"{resumed}.journal"), moments)
    assert code == 3
    assert lines(Path(f"{resumed}.journal")) >= count
    for suffix in (".jsonl", ".csv"):
        assert resumed.with_suffix(suffix).read_bytes() == whole.with_suffix(suffix).read_bytes()
    assert left_behind() == 0
    return Counter(row.get("error", {}).get("code", "ok") for row in rows)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    TIMEOUT_S = int(sys.argv[3]) if len(sys.argv) > 3 else TIMEOUT_S
    found = check(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
    sys.stdout.write(f"{dict(found)}, the same bytes after {KILLS} kills\n")
