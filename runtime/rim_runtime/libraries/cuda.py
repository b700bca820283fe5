"""The only place that imports cuda-python, and loads CUDA's libraries for ONNX Runtime."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rim_runtime.errors import EngineUnavailableError, MissingExtraError
from rim_runtime.libraries.importing import import_apart

LIBRARIES = (
    ("cudart64_13.dll", "cublasLt64_13.dll", "cublas64_13.dll", "curand64_10.dll")
    if sys.platform == "win32"
    else ("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10")
)
"""Libraries that ONNX Runtime's CUDA provider links, each after those it needs; all of them have to load."""
FOLDERS = ("nvidia/cu13/bin/x86_64", "torch/lib") if sys.platform == "win32" else ("nvidia/cu13/lib",)
"""Where packages put them, below a folder of sys.path: NVIDIA's own, and on Windows PyTorch."""
OUT_OF_MEMORY = 2
"""cudaErrorMemoryAllocation."""
LOST = frozenset({214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911})
"""CUDA's errors after which every call of the process fails: faults of kernels (700 illegal address, 719 launch
failure, …) and of the device (214 memory that cannot be corrected, …). Only a new process can go on."""


def import_cuda_runtime() -> Any:
    """Import cuda-python's runtime bindings. Raises MissingExtraError and EngineUnavailableError (broken)."""
    try:
        return import_apart(_cuda_runtime)
    except ModuleNotFoundError as error:
        if error.name in ("cuda", "cuda.bindings"):
            raise MissingExtraError("cuda-bindings", 'pip install "rim-edge[trt]"', "The engine trt") from None
        raise _broken(error) from None
    except Exception as error:  # noqa: BLE001 (from its shared libraries, or its own initialization)
        raise _broken(error) from None


def _cuda_runtime() -> Any:
    from cuda.bindings import runtime

    return runtime


def load_cuda_libraries() -> tuple[str, ...]:
    """Load what ONNX Runtime's CUDA provider links, from packages or the system; return what cannot be loaded.

    Its own `preload_dlls` does the same and prints what is missing, among the host program's output.
    """
    return tuple(name for name in LIBRARIES if not any(map(_loads, _places(name))))


def _places(name: str) -> Iterator[str]:
    """Yield paths of a library in packages; then its name, for the system's own or one that is loaded already."""
    for entry in sys.path:
        for folder in FOLDERS:
            path = Path(entry or ".", folder, name)
            if path.is_file():
                yield str(path.absolute())
    yield name


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _broken(error: Exception) -> EngineUnavailableError:
    return EngineUnavailableError(
        f'cuda-bindings cannot be imported ({error}). Install it again: pip install "rim-edge[trt]"'
    )
