"""Runs with the real model."""

import json

import numpy as np
from PIL import Image


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_model_s_rows_are_the_same_for_one_worker_and_for_two(run, tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    rng = np.random.default_rng(5)
    for number, shape in enumerate([(64, 64), (96, 64), (64, 64), (48, 80, 3), (16, 16)]):
        codes = rng.normal(128, 9, shape).clip(0, 255).round().astype(np.uint8)
        Image.fromarray(codes).save(inside / f"{number}.png")
    (inside / "cut.png").write_bytes((inside / "0.png").read_bytes()[:900])
    for workers in (1, 2):
        result = run("batch", inside, "-o", tmp_path / f"{workers}.jsonl", "--workers", workers, "--device", "cpu")
        assert result.exit_code == 3, result.output
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    assert [row["status"] for row in rows(tmp_path / "1.jsonl")] == ["ok"] * 5 + ["error"]
