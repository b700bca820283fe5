"""What can be chosen is known before anything heavy is imported: the command line refuses at once."""

from __future__ import annotations

import subprocess
import sys


def test_settings_need_no_torch() -> None:
    heavy = ("torch", "transformers", "onnx", "onnx_ir", "onnxscript")
    code = f"import sys, rim_export.settings; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert found.stdout == "[]\n"
