"""Is there a CUDA device? Asked of the driver itself, since importing torch costs seconds."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from functools import cache
from pathlib import Path

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_OF_TORCH = "torch_cuda.dll" if sys.platform == "win32" else "libtorch_cuda.so"


@cache
def devices() -> int:
    """How many there are; none without a driver. CUDA_VISIBLE_DEVICES is honoured, by the driver."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def torch_is_built_for_it() -> bool:
    """Whether the torch that is installed brings its CUDA half."""
    found = importlib.util.find_spec("torch")
    return found is not None and any(
        (Path(p) / "lib" / _OF_TORCH).is_file() for p in found.submodule_search_locations or ()
    )
