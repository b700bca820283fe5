"""An interrupt during an import is an interrupt, never a library that is broken."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.apart import run_apart

SWALLOWS = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
except KeyboardInterrupt:
    raise ImportError("initialization failed")
InferenceSession = Core = Builder = __version__ = "here"
"""
IMPORTS = {
    "onnxruntime": ("onnxruntime", "libraries.onnxruntime.import_onnxruntime()"),
    "openvino": ("openvino", "libraries.openvino.import_openvino()"),
    "tensorrt": ("tensorrt_rtx", "libraries.tensorrt.import_tensorrt(Library.RTX, 'trt')"),
    "cuda": ("cuda/bindings/runtime", "libraries.cuda.import_cuda_runtime()"),
}
"""What stands in for each library, and what imports it."""
PROGRAM = """
import signal, sys
from rim_runtime import libraries
from rim_runtime.libraries import cuda, onnxruntime, openvino, tensorrt
from rim_runtime.libraries.tensorrt import Library

sys.path.insert(0, sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    BRING
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("the interrupt was swallowed")
assert BRING, "the import went on by itself"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals to oneself")
@pytest.mark.parametrize("name", IMPORTS)
def test_an_interrupt_reaches_the_program(name: str, tmp_path: Path) -> None:
    file, bring = IMPORTS[name]
    folder = tmp_path / file
    folder.mkdir(parents=True)
    for inner in (folder, *folder.parents):
        if inner == tmp_path:
            break
        (inner / "__init__.py").write_text(SWALLOWS if inner == folder else "")
    run_apart(PROGRAM.replace("BRING", bring), tmp_path)
