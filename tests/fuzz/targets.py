"""What is fuzzed: for each target, what is done with any bytes. Only errors in words may come out of it.

A picture is read and its pixels are loaded; a journal is resumed, a part of a shard and a report are read back, a
checkpoint is loaded, a table of labels is read. What checksums would refuse at once is sealed anew, so that the fuzzer
gets behind them.
"""

import contextlib
import functools
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

from noisediag.errors import NoisediagError

sys.path.append(str(Path(__file__).parents[1] / "batch"))

SIDE = 24  # of seeds: a fuzzer wants them small
PIXELS = 1 << 16  # of what is loaded: the rest is the decoder's again
RUN = {"noisediag": "0"}
FORMAT = "noisediag.checkpoint/1"
CALIBRATION = {"intervals": {"curve": {"all": [1.0, 1.0]}}, "limits": {}, "alarms": {}}


class FoundError(Exception):
    """Something that no file may cause."""


def picture(suffix, data, folder):
    from noisediag.images import missing_pixels, read

    path = folder / f"a{suffix}"
    path.write_bytes(data)
    image = read(path)
    for plane in image.planes[:4]:
        if plane.shape[0] * plane.shape[1] > PIXELS:
            continue
        codes = plane.load()
        if codes.shape != plane.shape:
            raise FoundError(f"{plane.name}: {codes.shape} instead of {plane.shape}")
        missing_pixels(plane, codes)
        if not plane.black_dn < plane.white_dn < float("inf"):
            raise FoundError(f"{plane.name}: black {plane.black_dn}, white {plane.white_dn}")


def journal(data, folder):
    """Lines of any bytes behind a sound first one, each with the checksum that belongs to it."""
    from noisediag.batch.journal import FORMAT as JOURNAL
    from noisediag.batch.journal import RowJournal

    head = json.dumps({"journal": JOURNAL, "run": RUN}).encode()
    sealed, seed = [], 0
    for line in (head, *data.split(b"\n")):
        checksum = zlib.crc32(line, seed)
        seed = seed or checksum
        sealed.append(b"%08x %s\n" % (checksum, line))
    path = folder / "r.jsonl.journal"
    for content in (b"".join(sealed), data):
        path.write_bytes(content)
        told = []
        try:
            with RowJournal(path, RUN, resume=True, tell=told.append) as found:
                names = [name.decode("utf-8", "surrogateescape") for name in found._places]
                list(found.replies(names))
        except NoisediagError:
            pass


def part(data, folder):
    from noisediag.batch import parts

    path = folder / "part.jsonl"
    path.write_bytes(data)
    parts.read(path)


def report(suffix, data, folder):
    from noisediag.reports import page

    path = folder / f"r{suffix}"
    path.write_bytes(data)
    page.page(path, thumbnails=False)


def checkpoint(data, folder):
    """Any text as our entry in the header of a small encoder, with the checksum that belongs to it."""
    from noisediag.cop import checkpoint as store
    from noisediag.cop.models import load_encoder
    from noisediag.readout import own_head

    path = folder / "a.safetensors"
    path.write_bytes(data)
    for load in (load_encoder, own_head.load):
        with contextlib.suppress(NoisediagError):
            load(store.read(path))
    text = data.decode("utf-8", "replace")
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        entry = None
    if isinstance(entry, dict):
        text = json.dumps({**entry, "format": FORMAT, store.CHECKSUM: "0" * 64}, sort_keys=True)
    tensors, weights = _weights()
    header = json.dumps({"__metadata__": {store.METADATA: text}, **tensors}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + weights)
    with contextlib.suppress(ValueError):  # no place for a checksum
        store._seal(path)
    found = store.read(path)
    for load in (load_encoder, own_head.load):
        with contextlib.suppress(NoisediagError):
            load(found)


@functools.cache
def _weights():
    """The tensors of a small encoder: their places by name, and their bytes."""
    from noisediag.cop.encoder import Encoder, EncoderConfig

    places, content = {}, b""
    for name, tensor in Encoder(EncoderConfig(width=8, heads=2, embedding=8, projection=4)).state_dict().items():
        raw = tensor.numpy().tobytes()
        place = [len(content), len(content) + len(raw)]
        places[f"encoder.{name}"] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": place}
        content += raw
    return places, content


def labels(data, folder):
    from noisediag.labels import csv

    for name in ("a", "b", "c"):
        path = folder / f"{name}.npy"
        if not path.exists():
            np.save(path, np.full((16, 16), 100, np.uint16))
    (folder / "labels.csv").write_bytes(data)
    csv.read(folder / "labels.csv")


PICTURES = (".tif", ".png", ".jpg", ".webp", ".bmp", ".npy", ".fits", ".dng")
TARGETS = {suffix[1:]: functools.partial(picture, suffix) for suffix in PICTURES} | {
    "journal": journal,
    "part": part,
    "jsonl": functools.partial(report, ".jsonl"),
    "csv": functools.partial(report, ".csv"),
    "checkpoint": checkpoint,
    "labels": labels,
}


READERS = ("noisediag.images.reading", *(f"noisediag.images.{name}" for name in ("tiff", "picture", "fits", "raw")))
MODULES = {  # whose branches guide the fuzzer; of the others READERS
    "journal": ("noisediag.batch.journal",),
    "part": ("noisediag.batch.parts",),
    "jsonl": ("noisediag.reports.records", "noisediag.reports.listing"),
    "csv": ("noisediag.reports.records", "noisediag.reports.listing"),
    "checkpoint": ("noisediag.readout.own_head",),
    "labels": ("noisediag.labels.csv",),
}


def run(target, data, folder):
    """Do what `target` does with `data`. Raises what no data may cause."""
    try:
        TARGETS[target](data, folder)
    except NoisediagError as error:
        if "\n" in str(error) and target not in ("jsonl", "csv"):
            raise FoundError(f"more than one line: {error!r:.200}") from error
