"""Damaged files of every format through a batch: `python tests/batch/mutate.py FOLDER 10000 [WORKERS]`.

Bits are flipped, ends cut off, and heads of one file put on the body of another; a third means harm (hostile.py), and
some are called so. Every file must have a row, nothing may crash the run, take more than 1.5 GB, or be left behind.
`python tests/batch/mutate.py FOLDER 3000 1 good`: sound small pictures, by which no worker may grow.
"""

import base64
import io
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

sys.path.append(str(Path(__file__).parent))

import hostile

SIDE = 48
PEAK_MB = 1500
LEFT_MB = 50  # by which a worker may grow after the first hundred files
HOSTILE_SHARE, ODD_NAMES = 0.33, 0.05
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
    """Write `count` files, most of them damaged, and beside them what some of them name."""
    rng, made = random.Random(seed), seeds()
    for number in range(count):
        place = folder / f"{number // 1000:02}"
        if number % 1000 == 0:
            _surround(place)
        if rng.random() < HOSTILE_SHARE:
            suffix, content = rng.choice(hostile.MAKERS)(rng)
        else:
            suffix = rng.choice(list(made))
            content = mutate(made[suffix], list(made.values()), rng)
        start = hostile.name(rng) if rng.random() < ODD_NAMES else b""
        name = start + f"{number:05}{suffix}".encode()
        Path(os.fsdecode(os.fsencode(place) + b"/" + name)).write_bytes(content)


def _surround(place):
    """What hostile.REFERENCES name: a pipe, a folder, links; nothing with a picture's name."""
    (place / "folder").mkdir(parents=True)
    (place / "loop").symlink_to("loop")
    (place / "link").symlink_to("/etc/hostname")
    os.mkfifo(place / "pipe")


def fill_good(folder, count):
    """`count` sound small pictures of every format."""
    made = seeds()
    folder.mkdir(parents=True)
    for number in range(count):
        suffix = list(made)[number % len(made)]
        (folder / f"{number:05}{suffix}").write_bytes(made[suffix])


def check(folder, count, workers=2, *, good=False):
    """Run the batch; how many files have each status, the largest worker, and its growth, MB. Raises AssertionError."""
    (fill_good if good else fill)(folder / "in", count)
    output = folder / "rows.jsonl"
    before = set(folder.iterdir())
    command = ["-c", "from noisediag.cli import main; main()", "batch", str(folder / "in"), "-o", str(output)]
    options = ["--workers", str(workers), "--timeout", "120", "--memory-limit", str(PEAK_MB), "--device", "cpu"]
    with subprocess.Popen(
        [sys.executable, *command, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as run:
        sizes = _watched(run, Path(f"{output}.journal"))
        said = sizes.pop("stderr")
    assert run.returncode == (0 if good else 3), said
    assert "Traceback" not in said
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    paths = sorted(
        base64.b64decode(row["path_bytes"]) if "path_bytes" in row else os.fsencode(row["path"]) for row in rows
    )
    there = [path for path in (folder / "in").rglob("*.*") if path.is_file()]
    assert paths == sorted(map(os.fsencode, there))
    assert len(rows) == count
    assert set(folder.iterdir()) - before == {output, Path(f"{output}.journal")}
    assert not [pid for pid in sizes if _alive(pid)]
    statuses = {}
    for row in rows:
        status = row.get("error", {}).get("code", "ok")
        statuses[status] = statuses.get(status, 0) + 1
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    assert peak < PEAK_MB
    growth = max((max(found[1:]) - found[0] for found in sizes.values() if len(found) > 1), default=0.0)
    assert not good or growth < LEFT_MB, sizes
    return statuses, peak, growth


def _watched(run, journal):
    """Resident MB of each child of `run` from the hundredth row of the journal on, and what stderr said."""
    sizes, said = {}, []
    reader = threading.Thread(target=lambda: said.append(run.stderr.read()))
    reader.start()
    while run.poll() is None:
        time.sleep(0.5)
        children = [int(pid) for pid in _text(Path(f"/proc/{run.pid}/task/{run.pid}/children")).split()]
        lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
        for pid in children:
            resident = re.search(r"VmRSS:\s*(\d+) kB", _text(Path(f"/proc/{pid}/status")))
            seen = sizes.setdefault(pid, [])
            if resident and lines > 100:
                seen.append(int(resident[1]) / 1000)
    reader.join()
    return {**sizes, "stderr": said[0]}


def _text(path):
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


def _alive(pid):
    return "noisediag" in _text(Path(f"/proc/{pid}/cmdline"))


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    count, workers = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in ((2, 10_000), (3, 2)))
    found, megabytes, growth = check(folder, count, workers, good="good" in sys.argv[4:])
    sys.stdout.write(f"{found}, peak {megabytes:.0f} MB, growth {growth:.0f} MB\n")
