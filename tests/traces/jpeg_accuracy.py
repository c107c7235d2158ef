"""How well noisediag/traces/jpeg reads quality, false alarms and resaving from pixels: the figures of its thresholds.

Run `python tests/traces/jpeg_accuracy.py --data DIR`, DIR with a sub-folder of clean pictures a domain. Half of the
pictures get sensor noise. Thresholds were set with `--even`; without it, the odd-numbered files are read.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from noisediag.genome import sensor
from noisediag.images.picture import jpeg_tables
from noisediag.traces import jpeg

QUALITIES = (50, 60, 70, 80, 90, 95, 98, 100)
FIRST = SECOND = (50, 75, 85, 90, 95)
SUBSAMPLINGS = ("4:4:4", "4:2:0")
SHIFT = (3, 5)  # px cut off between two compressions


def compressed(codes: np.ndarray, quality: int, subsampling: str = "4:4:4") -> PIL.Image.Image:
    """`codes` through libjpeg and back."""
    buffer = io.BytesIO()
    options = {} if codes.ndim == 2 else {"subsampling": subsampling}
    PIL.Image.fromarray(codes).save(buffer, "JPEG", quality=quality, **options)
    return PIL.Image.open(buffer)


def noisy(codes: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """`codes` with shot and read noise of the benchmark, independent in each channel."""
    planes = torch.from_numpy(np.atleast_3d(codes) / np.float32(255)).permute(2, 0, 1).contiguous()
    noise = sensor.sample("poisson-gauss", 1, generator).select(torch.zeros(len(planes), dtype=torch.long))
    added = sensor.corrupt(planes, noise, generator, container_step=1 / 255).image
    values = np.rint(added.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    return values.reshape(codes.shape)


def pictures(folder: Path, *, even: bool, step: int = 1) -> Iterator[tuple[str, np.ndarray]]:
    """Domain and 8-bit codes of every `step`-th of the even-numbered or odd-numbered files of each domain."""
    for domain in sorted(path for path in folder.iterdir() if path.is_dir()):
        for file in sorted(domain.iterdir())[0 if even else 1 :: 2][::step]:
            with PIL.Image.open(file) as picture:
                codes = np.asarray(picture)
            if codes.dtype != np.uint8:
                codes = np.rint(codes / codes.max() * 255).astype(np.uint8)
            yield domain.name, np.ascontiguousarray(codes[..., :3] if codes.ndim == 3 else codes)


@dataclass
class Tally:
    """What was found, by case."""

    errors: dict[tuple[int, str], list[float]] = field(default_factory=lambda: defaultdict(list))  # nan: none seen
    offsets: list[bool] = field(default_factory=list)
    alarms: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))  # never compressed, by content
    once: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))  # said to be resaved
    twice: dict[tuple[bool, int, int], list[bool]] = field(default_factory=lambda: defaultdict(list))
    missed: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # quality not seen, by domain
    false: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # wrong alarms, by domain
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def _timed(tally: Tally, name: str, call: Callable[..., jpeg.Traces], *arguments: object) -> jpeg.Traces:
    start = time.perf_counter()
    result = call(*arguments)
    tally.seconds[name].append(time.perf_counter() - start)
    return result


def measure(named: Iterable[tuple[str, np.ndarray]], seed: int = 0, *, twice: bool = True) -> Tally:
    """All cases over `named` pictures."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    tally = Tally()
    for number, (name, clean) in enumerate(named):
        content = "noisy" if number % 2 else "clean"
        codes = noisy(clean, generator) if number % 2 else clean
        found = _timed(tally, "never compressed", jpeg.traces, codes).quality
        tally.alarms[content].append(found is not None)
        tally.false[name] += found is not None
        for quality in QUALITIES:
            for subsampling in SUBSAMPLINGS if codes.ndim == 3 else ("gray",):
                whole = compressed(codes, quality, subsampling)
                decoded = np.asarray(whole)
                top, left = rng.integers(0, 8, 2)
                seen = _timed(tally, "all", jpeg.traces, decoded[top:, left:])
                tally.errors[quality, subsampling].append(
                    np.nan if seen.quality is None else abs(seen.quality - quality)
                )
                tally.missed[name] += seen.quality is None
                if seen.quality is not None:
                    tally.offsets.append(seen.offset == (-top % 8, -left % 8))
                for route, verdict in (
                    ("file", _timed(tally, "with tables", jpeg.traces, decoded, jpeg_tables(whole)).resaved),
                    ("pixels", seen.resaved),
                ):
                    tally.once[route].append(verdict is True)
                    tally.false[name] += verdict is True
        for first in FIRST if twice else ():
            before = np.asarray(compressed(codes, first, SUBSAMPLINGS[number % 4 // 2]))
            for second in SECOND:
                for aligned in (True, False):
                    again = compressed(before if aligned else before[SHIFT[0] :, SHIFT[1] :], second)
                    verdict = jpeg.traces(np.asarray(again), jpeg_tables(again)).resaved
                    tally.twice[aligned, first, second].append(verdict is True)
    return tally


def _percent(found: list[bool]) -> str:
    return f"{100 * np.mean(found):5.1f}" if found else "    -"


def show(tally: Tally) -> None:
    """The tables on stdout."""
    print("quality from pixels, random crops: median and 90th percentile of the error; not seen, %")
    for (quality, subsampling), errors in sorted(tally.errors.items()):
        seen = np.array(errors)[~np.isnan(errors)]
        spread = f"{np.median(seen):4.1f} {np.percentile(seen, 90):4.1f}" if len(seen) else "   -    -"
        print(f"  {quality:3d} {subsampling:6} {spread}  {_percent([bool(np.isnan(error)) for error in errors])}")
    every = np.concatenate([np.array(errors) for errors in tally.errors.values()])
    within = np.nan_to_num(every, nan=np.inf) <= 3
    print(f"within 3: {100 * within.mean():.1f} % of {len(every)}; not seen: {dict(tally.missed)}")
    print(f"grid found: {_percent(tally.offsets)} % of those seen")
    for content, found in tally.alarms.items():
        print(f"never compressed, {content}: {_percent(found)} % of {len(found)} said to be compressed")
    for route, found in tally.once.items():
        print(f"compressed once, from {route}: {_percent(found)} % of {len(found)} said to be resaved")
    print(f"false alarms by domain: { ({name: count for name, count in tally.false.items() if count}) }")
    for aligned in (True, False):
        if tally.twice:
            print(
                f"resaved, found in %, {'same grid' if aligned else 'other grid'}; rows: first, columns: last quality"
            )
            print("      " + " ".join(f"{second:5d}" for second in SECOND))
            for first in FIRST:
                print(f"  {first:3d} " + " ".join(_percent(tally.twice[aligned, first, second]) for second in SECOND))
    for name, seconds in tally.seconds.items():
        print(f"{name}: median {1e3 * np.median(seconds):.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--even", action="store_true", help="the files that the thresholds were set on")
    parser.add_argument("--step", type=int, default=1, help="only every n-th of them")
    parser.add_argument("--once", action="store_true", help="leave out pictures compressed twice, most of the time")
    options = parser.parse_args()
    show(measure(pictures(options.data, even=options.even, step=options.step), twice=not options.once))


if __name__ == "__main__":
    main()
