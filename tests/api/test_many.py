"""Many pictures: order, failures, threads, and what a call leaves behind in the process."""

from __future__ import annotations

import itertools
import json
import os
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from threadpoolctl import threadpool_info, threadpool_limits
from typer.testing import CliRunner

import noisediag
from noisediag import Failure, Footprint
from noisediag.cli import app
from noisediag.sharing import Shared

SAMPLE = Path(__file__).parents[1] / "data" / "sample.dng"


def pictures(count: int) -> list[np.ndarray]:
    light = np.linspace(200, 3000, 64 * 64).reshape(64, 64)
    return [(np.random.default_rng(seed).poisson(light) + 100).astype(np.uint16) for seed in range(count)]


class TestMany:
    @pytest.mark.parametrize("workers", [1, 3])
    def test_in_their_order_with_failures_in_their_places(self, tmp_path: Path, workers: int) -> None:
        first, second = pictures(2)
        path = tmp_path / "a.png"
        PIL.Image.fromarray(second).save(path)
        sources = [first, tmp_path / "none.png", path, np.zeros((4, 4)), ["a"]]
        one, none, two, small, other = noisediag.estimate_many(sources, workers=workers, device="cpu")
        assert one == noisediag.estimate(first, device="cpu")
        assert isinstance(two, Footprint)
        assert two.path == str(path)
        assert none == Failure(str(tmp_path / "none.png"), "unreadable", "no such file")
        assert isinstance(small, Failure)
        assert (small.path, small.code) == ("item 3", "unreadable")
        assert isinstance(other, Failure)
        assert other.code == "unsupported"

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_generator_is_not_read_far_ahead(self, workers: int) -> None:
        taken = itertools.count()

        def endless() -> Iterator[np.ndarray]:
            for picture in itertools.cycle(pictures(1)):
                next(taken)
                yield picture

        found = noisediag.estimate_many(endless(), workers=workers, device="cpu")
        next(found)
        assert next(taken) <= workers + 1
        found.close()  # type: ignore[attr-defined]

    @pytest.mark.parametrize("workers", [1, 2])
    def test_errors_are_raised_where_that_is_asked_for(self, workers: int) -> None:
        found = noisediag.estimate_many(["none.png"], errors="raise", workers=workers)
        with pytest.raises(noisediag.InputError, match=r"none\.png: no such file"):
            list(found)

    @pytest.mark.parametrize(
        ("sources", "options", "words"),
        [
            ("a.png", {}, "for a single one there is estimate"),
            ("tests", {}, r"sorted\(Path\('tests'\)\.glob"),
            ({"a": 1}, {}, "values()"),
            (3, {}, "not int"),
            ([], {"workers": 0}, "workers"),
            ([], {"errors": "ignore"}, "return, raise"),
            ([], {"worker": 2}, "did you mean 'workers'"),
        ],
    )
    def test_refusals_come_with_the_call(
        self, sources: object, options: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(SAMPLE.parents[2])
        with pytest.raises(noisediag.UsageError, match=words):
            noisediag.estimate_many(sources, **options)  # type: ignore[arg-type]


class TestThreads:
    def test_calls_side_by_side_give_what_calls_in_turn_give(self, tmp_path: Path) -> None:
        arrays = pictures(3)
        path = tmp_path / "a.png"
        PIL.Image.fromarray(arrays[0]).save(path)
        sources = [*arrays, path, SAMPLE, arrays[0]]
        in_turn = [noisediag.estimate(source, device="cpu") for source in sources]
        with ThreadPoolExecutor(len(sources)) as pool:
            side_by_side = list(pool.map(lambda source: noisediag.estimate(source, device="cpu"), sources))
        assert side_by_side == in_turn

    def test_settings_of_the_process_are_as_before(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        PIL.Image.fromarray(pictures(1)[0]).save(path)
        noisediag.estimate(path, device="cpu")  # whatever is loaded is loaded

        def settings() -> list[object]:
            blas = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
            return [blas, list(warnings.filters), PIL.Image.MAX_IMAGE_PIXELS, os.fstat(2).st_rdev, np.geterr()]

        with threadpool_limits(2, user_api="blas"):
            before = settings()
            for _ in noisediag.estimate_many([path, SAMPLE] * 3, workers=4, device="cpu"):
                pass
            assert settings() == before

    def test_the_last_one_out_puts_back_what_the_first_one_found(self) -> None:
        import contextlib

        value = ["user's"]

        @contextlib.contextmanager
        def changed() -> Iterator[None]:
            found, value[0] = value[0], "ours"
            yield
            value[0] = found

        shared, inside, leave = Shared(changed), threading.Barrier(2), threading.Event()

        def other() -> None:
            with shared():
                inside.wait()
                leave.wait()

        thread = threading.Thread(target=other)
        with shared():
            thread.start()
            inside.wait()
        assert value == ["ours"]  # for the other one is still inside
        leave.set()
        thread.join()
        assert value == ["user's"]
        with pytest.raises(ValueError, match="x"), shared():
            raise ValueError("x")
        assert value == ["user's"]


class TestSameAsTheCommandLine:
    def test_reports_are_equal(self, tmp_path: Path) -> None:
        stack = tmp_path / "stack.tif"
        tifffile.imwrite(stack, np.stack(pictures(5)), photometric="minisblack")
        for path, options in ((SAMPLE, {}), (stack, {"black": 100.0, "white": 4095.0})):
            words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
            printed = CliRunner().invoke(app, ["estimate", str(path), "--json", "--device", "cpu", *words])
            footprint = noisediag.estimate(path, device="cpu", **options)
            assert footprint.to_json() == printed.stdout
            assert (footprint.measured is not None) == (path == stack)

    def test_maps_are_equal(self, tmp_path: Path) -> None:
        out = tmp_path / "map.npy"
        done = CliRunner().invoke(
            app, ["estimate", str(SAMPLE), "--map", str(out), "--scale", "255", "-o", str(tmp_path / "r.json")]
        )
        assert done.exit_code == 0
        np.testing.assert_array_equal(np.load(out), noisediag.estimate(SAMPLE, device="cpu").sigma_map(scale=255))

    def test_measurements_are_equal(self, tmp_path: Path) -> None:
        stack = tmp_path / "stack.tif"
        frames = np.stack(pictures(6))
        tifffile.imwrite(stack, frames)
        arguments = ["measure", "--repeats", str(stack), "--json", "--black", "100", "--white", "4095"]
        printed = CliRunner().invoke(app, arguments).stdout
        measured = noisediag.measure(repeats=stack, black=100, white=4095)
        assert measured.to_json() == printed
        of_array = noisediag.measure(repeats=frames, black=100, white=4095)
        assert [json.dumps(plane) for plane in of_array.to_dict()["planes"]] == [
            json.dumps({**plane, "scale_source": plane["scale_source"]}) for plane in measured.to_dict()["planes"]
        ]
