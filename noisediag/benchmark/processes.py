"""Processes that `benchmark speed` times: whole ones from start to end, and one that computes with the other engine.

All run on one thread, the reference as well as ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.engine import VARIABLE
from noisediag.errors import NoisediagError

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
REFERENCE_CODE = """
import sys
import numpy as np
from PIL import Image
from skimage.restoration import estimate_sigma
codes = np.asarray(Image.open(sys.argv[1]))
print(estimate_sigma(codes / 255, channel_axis=-1 if codes.ndim == 3 else None))
"""
_LAUNCH = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss]))
sys.exit(code)
"""
_SERVE = "from noisediag.benchmark.processes import serve; serve()"


def estimate_command(path: Path, checkpoint: Path | None) -> list[str]:
    """`noisediag estimate PATH --json`."""
    given = [] if checkpoint is None else ["--checkpoint", str(checkpoint)]
    return [sys.executable, "-m", "noisediag", "estimate", str(path), "--json", "--device", "cpu", *given]


def reference_command(path: Path) -> list[str]:
    """A process that reads the picture with Pillow and measures it with scikit-image."""
    return [sys.executable, "-c", REFERENCE_CODE, str(path)]


def cost(command: Sequence[str], engine: str) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of a whole process. Raises NoisediagError where it fails; POSIX alone.

    A small process starts it: the system counts the memory of whoever did as the new one's own.
    """
    launcher = [sys.executable, "-c", _LAUNCH, *command]
    done = subprocess.run(launcher, env=_environment(engine), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NoisediagError(f"{' '.join(command[1:4])} ended with {done.returncode}")
    seconds, memory = json.loads(done.stdout)
    return seconds, memory / (1e6 if sys.platform == "darwin" else 1e3)  # ru_maxrss: bytes there, KiB elsewhere


@contextmanager
def other_process(engine: str, checkpoint: Path | None) -> Iterator[Any]:
    """A function of (height, width, seed, from_array): CPU seconds of one estimate in a process of that `engine`."""
    command = [sys.executable, "-c", _SERVE, "" if checkpoint is None else str(checkpoint)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=_environment(engine), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def seconds(*request: Any) -> float:
            asked.write(json.dumps(request) + "\n")
            asked.flush()
            answer = answers.readline()
            if not answer:
                raise NoisediagError(f"the process that computes with {engine} has ended")
            return float(json.loads(answer))

        try:
            yield seconds
        finally:
            asked.close()


def serve() -> None:
    """Time estimates, as a parent asks for them, until stdin ends."""
    from noisediag import images
    from noisediag.benchmark import speed
    from noisediag.estimator import Estimator

    estimator = Estimator(Path(sys.argv[1]) if sys.argv[1] else None, "cpu")
    pictures: dict[tuple[int, int, int], Any] = {}
    with speed.one_thread():
        for line in sys.stdin:
            height, width, seed, from_array = json.loads(line)
            key = height, width, seed
            if key not in pictures:
                codes = speed.picture(speed.Format(height, width, 1), seed)
                pictures[key] = codes, images.from_array(codes, black=0, white=65535)
            codes, image = pictures[key]
            start = time.process_time()
            estimator.estimate(images.from_array(codes, black=0, white=65535) if from_array else image)
            sys.stdout.write(f"{time.process_time() - start}\n")
            sys.stdout.flush()


def write_pictures(codes: np.ndarray, side_px: int, folder: Path) -> Mapping[str, Path]:
    """A gray PNG and a colour JPEG of 8 bits, cut from the codes (H, W) of 16 bits, by their format."""
    from PIL import Image

    gray = (codes[:side_px, :side_px] >> 8).astype(np.uint8)
    paths = {"PNG": folder / f"{side_px}.png", "JPEG": folder / f"{side_px}.jpg"}
    Image.fromarray(gray).save(paths["PNG"])
    colours = np.stack([gray, gray[::-1], gray[:, ::-1]], -1)  # noise of their own
    Image.fromarray(colours).save(paths["JPEG"], quality=90)
    return paths


def _environment(engine: str) -> dict[str, str]:
    return {**os.environ, **ONE_THREAD, VARIABLE: engine, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
