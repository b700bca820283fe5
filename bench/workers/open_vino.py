"""OpenVINO without its usage reporting: `import openvino` sends an event through a package that is hidden here."""

from __future__ import annotations

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino  # noqa: E402, TID251 (a peer's environment has no rim_runtime)

__all__ = ["openvino"]
