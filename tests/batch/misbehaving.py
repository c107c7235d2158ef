"""Workers that do harm: one without a model, whose reader does what the file's first word says and which starts in a
moment, and one with the model, whose reader does what the file's name says first."""

import ctypes
import importlib.util
import os
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

from noisediag.errors import CheckpointError, PermissionDeniedError, TruncatedError

spec = importlib.util.spec_from_file_location("hand_made", Path(__file__).parents[1] / "conftest.py")
hand_made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hand_made)


def do_harm(word):
    if word == b"segfault":
        ctypes.string_at(0)
    if word == b"hang":
        time.sleep(1000)
    if word == b"grow":
        held = [bytearray(50_000_000) for _ in range(100)]
        raise AssertionError(len(held))


def read(path, **options):
    words = path.read_bytes().split()
    word = words[0] if words else b""
    sys.stdout.write("decoders talk, on stdout too")
    sys.stdout.flush()
    os.system("echo and so do their children")
    do_harm(word)
    if word == b"once" and not Path(f"{path}.seen").exists():
        Path(f"{path}.seen").touch()
        os._exit(7)
    if word == b"short":
        raise TruncatedError(f"{path}: ends\nearly")
    if word == b"slow":
        time.sleep(0.02)
    return SimpleNamespace(path=str(path), gain=len(words), planes=[SimpleNamespace(shape=(16, 16))])


class Estimator:
    checkpoint = hand_made.CheckpointId("sensor", "0" * 64)
    device = SimpleNamespace(type="cpu")

    def __init__(self, checkpoint, device):
        if checkpoint is not None:
            raise CheckpointError(f"{checkpoint}: damaged")

    def estimate(self, image, gain=None):
        return hand_made._footprint(path=image.path, warnings=(f"gain {gain}",))

    def estimate_together(self, images, gain=None):
        return [self.estimate(image, gain) for image in images]


def main():
    from noisediag.batch import worker  # before what it imports only when it begins is replaced

    for name, content in {
        "noisediag.estimator": {"Estimator": Estimator},
        "noisediag.images": {"read": read},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module
    worker.main()


def main_with_model():
    from noisediag import images
    from noisediag.batch import worker

    real = images.read

    def planted(path, **options):
        word = os.fsencode(path.name).partition(b"-")[0]
        if word == b"locked":
            raise PermissionDeniedError(f"{path}: permission denied")
        do_harm(word)
        return real(path, **options)

    images.read = planted
    worker.main()
