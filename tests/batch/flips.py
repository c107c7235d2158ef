"""Bits that flip in journals and parts: `python tests/batch/flips.py FOLDER 2000`.

A run over made-up rows, whole and in two shards. Then one bit is flipped, of the journal or of a part, and the run is
resumed, or the parts are merged: the damage must be named, cost its own row at most, and never become another number;
after --resume the bytes must be those of the undamaged run.
"""

import contextlib
import importlib.util
import io
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

spec = importlib.util.spec_from_file_location("faults", Path(__file__).parent / "faults.py")
faults = importlib.util.module_from_spec(spec)
sys.modules["faults"] = faults  # where dataclasses look for it
spec.loader.exec_module(faults)

from noisediag.batch import merge  # noqa: E402
from noisediag.batch.run import run  # noqa: E402
from noisediag.batch.walk import Shard  # noqa: E402
from noisediag.errors import NoisediagError  # noqa: E402

FILES, SHARDS = 12, 2


def resumed(options):
    """Run or resume: how many files were measured, and what was said."""
    workers, said = faults.Workers(), io.StringIO()
    with contextlib.redirect_stderr(said):
        run(options, workers, faults.Watcher())
    return workers.asked, said.getvalue()


def flipped(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def check(folder, count, seed=0):
    """Flip `count` bits, one at a time; how often what became of it. Raises AssertionError."""
    inside = folder / "in"
    inside.mkdir(parents=True)
    for number in range(FILES):
        (inside / f"{number:03}.tif").write_bytes(b"x")
    whole = faults.options(inside, folder, (".jsonl", ".csv"), None)
    resumed(whole)
    expected = [path.read_bytes() for path in whole.outputs]
    journal, shards = whole.journal.read_bytes(), []
    for index in range(1, SHARDS + 1):
        (folder / f"{index}").mkdir()
        shards.append(faults.options(inside, folder / f"{index}", (".jsonl",), Shard(index, SHARDS)))
        resumed(shards[-1])
    parts = [shard.outputs[0] for shard in shards]
    chance, seen = random.Random(seed), Counter()
    for number in range(count):
        if number % 2:
            seen[_journal(whole, expected, chance)] += 1
            whole.journal.write_bytes(journal)  # without the blanks in the places of damage
        else:
            seen[_part(chance.choice(shards), parts, expected, chance)] += 1
    return seen


def _journal(options, expected, chance):
    bit = chance.randrange(8 * options.journal.stat().st_size)
    flipped(options.journal, bit)
    asked, said = resumed(options)
    assert asked <= 1, f"bit {bit} of the journal cost {asked} rows"
    assert said.count("\n") == 1, f"bit {bit}: {said}"
    assert "damaged or unfinished at byte" in said
    assert [path.read_bytes() for path in options.outputs] == expected, f"bit {bit} of the journal is another row"
    assert resumed(options) == (0, "")
    return f"journal, {asked} rows again"


def _part(shard, parts, expected, chance):
    part, merged = (
        shard.outputs[0],
        [part.parents[1] / f"all{suffix}" for part, suffix in zip(parts, (".jsonl", ".csv"), strict=True)],
    )
    before = part.read_bytes()
    bit = chance.randrange(8 * len(before))
    flipped(part, bit)
    said = ""
    try:
        merge.run(parts, merged, force=True)
    except NoisediagError as error:
        said = str(error)
    assert str(part) in said, f"bit {bit} of {part} was taken: {said}"
    assert "line" in said, said
    assert "\n" not in said, said
    assert not any(path.exists() for path in merged)
    assert resumed(shard) == (0, "")
    assert part.read_bytes() == before
    merge.run(parts, merged, force=True)
    assert [path.read_bytes() for path in merged] == expected
    for path in merged:
        path.unlink()
    return "part, refused and mended"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    found = check(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
    sys.stdout.write(f"{dict(found)}: none became another row\n")
