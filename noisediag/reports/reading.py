"""Our own reports, read back."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any


def row_path(row: Mapping[str, Any]) -> bytes:
    """The path of a row, as the system has it."""
    if "path_bytes" in row:
        return base64.b64decode(row["path_bytes"])
    return os.fsencode(row["path"])
