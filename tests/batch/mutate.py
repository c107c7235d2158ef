"""Damaged files of every format through a batch: `python tests/batch/mutate.py FOLDER 10000`.

Bits are flipped, ends cut off, and heads of one file put on the body of another. Every file must have a row, and
nothing may crash the run or take more than 2 GB.
"""

import io
import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

SIDE = 48
PEAK_MB = 2000
SAMPLE = Path(__file__).parents[1] / "data" / "sample.dng"


def seeds():
    """A small valid file of each format, by suffix."""
    rng = np.random.default_rng(1)
    gray = rng.normal(1000, 30, (SIDE, SIDE)).round().astype(np.uint16)
    colour = rng.normal(120, 8, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    made = {".dng": SAMPLE.read_bytes()}
    for name, options in {
        "plain": {},
        "deflate": {"compression": "zlib", "tile": (16, 16)},
        "lzw": {"compression": "lzw"},
        "jpeg": {"compression": "jpeg"},
        "big": {"bigtiff": True},
        "ome": {"ome": True},
    }.items():
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, colour[..., 0] if name == "jpeg" else np.stack([gray] * 2), **options)
        made[f".{name}.tif"] = buffer.getvalue()
    for suffix, picture in {
        ".png": gray,
        ".rgb.png": colour,
        ".jpg": colour,
        ".webp": colour,
        ".bmp": colour,
    }.items():
        buffer = io.BytesIO()
        kind = {"jpg": "JPEG"}.get(suffix.rpartition(".")[2], suffix.rpartition(".")[2].upper())
        Image.fromarray(picture).save(buffer, kind)
        made[suffix] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, gray, allow_pickle=False)
    made[".npy"] = buffer.getvalue()
    cards = {"SIMPLE": "T", "BITPIX": 16, "NAXIS": 2, "NAXIS1": SIDE, "NAXIS2": SIDE}
    header = "".join(f"{name:8}= {value:>20}".ljust(80) for name, value in cards.items()) + "END"
    made[".fits"] = header.ljust(2880).encode() + gray.byteswap().tobytes().ljust(5760, b"\0")
    return made


def mutate(content, others, rng):
    """`content` with one kind of damage; headers are hit most."""
    data = bytearray(content)
    kind = rng.randrange(4)
    reach = len(data) if rng.random() < 0.3 else min(len(data), 600)
    if kind == 0:
        for _ in range(rng.choice((1, 3, 20))):
            data[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del data[rng.randrange(len(data)) :]
    elif kind == 2:
        head = rng.choice(others)
        cut = rng.randrange(1, min(len(head), reach))
        data[:cut] = head[:cut]
    else:
        for _ in range(rng.choice((1, 4))):
            place = rng.randrange(max(1, reach - 4))
            wild = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")
            data[place : place + 4] = rng.choice(wild)
    return bytes(data)


def fill(folder, count, seed=0):
    """Write `count` damaged files."""
    rng, made = random.Random(seed), seeds()
    for number in range(count):
        suffix = rng.choice(list(made))
        path = folder / f"{number // 1000:02}" / f"{number:05}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mutate(made[suffix], list(made.values()), rng))


def check(folder, count, workers=2):
    """Run the batch; the statuses and how many files have each. Raises AssertionError."""
    fill(folder / "in", count)
    output = folder / "rows.jsonl"
    command = ["-c", "from noisediag.cli import main; main()", "batch", str(folder / "in"), "-o", str(output)]
    options = ["--workers", str(workers), "--timeout", "120", "--memory-limit", str(PEAK_MB), "--device", "cpu"]
    done = subprocess.run([sys.executable, *command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert sorted(row["path"] for row in rows) == sorted(str(path) for path in (folder / "in").rglob("*.*"))
    statuses = {}
    for row in rows:
        status = row.get("error", {}).get("code", "ok")
        statuses[status] = statuses.get(status, 0) + 1
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    assert peak < PEAK_MB
    return statuses, peak


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    found, megabytes = check(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
    sys.stdout.write(f"{found}, peak {megabytes:.0f} MB\n")
