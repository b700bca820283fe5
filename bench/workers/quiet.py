"""OpenVINO and what imports it, without usage reporting: both send events through a package that is hidden."""

from __future__ import annotations

import importlib
import sys
from typing import Any

REPORTER = "openvino_telemetry"


def import_quietly(name: str) -> Any:
    """Import `openvino` or `nncf` and return the module; without the reporter they fall back to a stub."""
    sys.modules[REPORTER] = None  # type: ignore[assignment]
    return importlib.import_module(name)
