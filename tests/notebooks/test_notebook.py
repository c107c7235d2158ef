"""The notebook runs through, in a kernel of its own, and shows what it is to show."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

NOTEBOOK = Path(__file__).parent / "first-steps.ipynb"
ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The cells with code, run. Where NOISEDIAG_NOTEBOOK names a file, the notebook that ran is written to it."""
    nbclient = pytest.importorskip("nbclient", reason="the extra `notebook` is not installed")
    nbformat = pytest.importorskip("nbformat")
    for needed in ("ipykernel", "pandas", "matplotlib"):
        pytest.importorskip(needed)
    before = dict(os.environ)
    os.environ |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::DeprecationWarning:noisediag"}
    os.environ |= {"IPYTHONDIR": str(tmp_path_factory.mktemp("ipython")), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    try:
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        nbclient.NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": ROOT}}).execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    if "NOISEDIAG_NOTEBOOK" in before:
        nbformat.write(notebook, before["NOISEDIAG_NOTEBOOK"])
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def data(cell: Any, kind: str) -> str:
    """What a cell shows, of one media type."""
    found = [output["data"][kind] for output in cell.outputs if kind in output.get("data", {})]
    assert found, cell.source
    return str(found[-1])


@pytest.mark.filterwarnings("ignore")  # of the kernel's client, which are not ours
def test_the_notebook_shows_what_it_is_to_show(cells: list[Any]) -> None:
    footprint, sigmas, frame, plot, estimated, shown_map, many, measured = cells
    assert "<svg" in data(footprint, "text/html")
    assert data(footprint, "text/plain").startswith("<Footprint of sample.dng")
    assert "array(" in data(sigmas, "text/plain")
    assert "shot_gain" in data(frame, "text/html")
    assert "<svg" in data(estimated, "text/html")
    assert "Failure(path='missing.png'" in data(many, "text/plain")
    assert "DN/e-" in data(measured, "text/plain")
    for cell in (plot, shown_map):
        with PIL.Image.open(io.BytesIO(base64.b64decode(data(cell, "image/png")))) as picture:
            pixels = np.asarray(picture.convert("L"))
        assert min(pixels.shape) > 200
        assert pixels.std() > 10  # something is drawn


def test_the_notebook_is_kept_without_outputs() -> None:
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
