"""An interrupt during an import is an interrupt, never a library that is broken."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rim_runtime.libraries.cuda import import_cuda_runtime
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.libraries.openvino import import_openvino
from rim_runtime.libraries.tensorrt import Library, import_tensorrt

SWALLOWS = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
except KeyboardInterrupt:
    raise ImportError("initialization failed")
InferenceSession = Core = Builder = __version__ = "here"
"""
IMPORTS: dict[str, tuple[str, Callable[[], Any]]] = {
    "onnxruntime": ("onnxruntime", import_onnxruntime),
    "openvino": ("openvino", import_openvino),
    "tensorrt": ("tensorrt_rtx", lambda: import_tensorrt(Library.RTX, "trt")),
    "cuda": ("cuda/bindings/runtime", import_cuda_runtime),
}


@pytest.fixture
def only_new_modules() -> Iterator[None]:
    """Forget the libraries, and take them back afterwards: none may be imported twice in one process."""
    names = {file.partition("/")[0] for file, _ in IMPORTS.values()}
    before = {key: module for key, module in sys.modules.items() if key.partition(".")[0] in names}
    _forget(names)
    yield
    _forget(names)
    sys.modules.update(before)


@pytest.mark.skipif(sys.platform == "win32", reason="signals to oneself")
@pytest.mark.usefixtures("only_new_modules")
@pytest.mark.parametrize("name", IMPORTS)
def test_an_interrupt_reaches_the_program(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, bring = IMPORTS[name]
    folder = tmp_path / file
    folder.mkdir(parents=True)
    for inner in (folder, *folder.parents):
        if inner == tmp_path:
            break
        (inner / "__init__.py").write_text(SWALLOWS if inner == folder else "")
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            bring()
    finally:
        signal.signal(signal.SIGINT, before)
    assert bring(), "the import went on by itself"


def _forget(names: set[str]) -> None:
    for key in [key for key in sys.modules if key.partition(".")[0] in names]:
        del sys.modules[key]
