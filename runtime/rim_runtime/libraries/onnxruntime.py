"""The only place that imports ONNX Runtime, with its usage reporting switched off first.

Its wheels report usage: the first session writes a device id under the home folder and an uploader starts
within seconds. Only ORT_DISABLE_TELEMETRY=1 before the import prevents both; afterwards nothing does. If the host
program imported it first, we cannot change that; `telemetry()` reports it.
"""

from __future__ import annotations

import os
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import Any

from rim_runtime.errors import EngineUnavailableError, MissingExtraError, UnavailableError
from rim_runtime.libraries.importing import import_apart

VARIABLE = "ORT_DISABLE_TELEMETRY"
CPU_COMMAND = 'pip install "rim-edge[cpu]"'
GPU_COMMAND = 'pip install "rim-edge[gpu]"'
WHEELS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
"""Distributions that own the folder `onnxruntime`: with two of them installed, its content is undefined."""

CUDA_PROVIDER = "onnxruntime_providers_cuda.dll" if sys.platform == "win32" else "libonnxruntime_providers_cuda.so"
"""A file that only the GPU wheel has."""


class Telemetry(StrEnum):
    """State of ONNX Runtime's usage reporting in this process."""

    NOT_LOADED = "not loaded"
    """ONNX Runtime was not imported yet; it will be imported with reporting off."""
    OFF = "off"
    """It was imported with reporting off."""
    HOST = "on: imported by the host program before rim_runtime"
    """The host program imported it first, without the variable: reporting can no longer be switched off."""


_lock = threading.Lock()
_found: dict[str, Telemetry] = {}  # what the first look at an imported ONNX Runtime found


def telemetry() -> Telemetry:
    """Return whether ONNX Runtime reports usage in this process, without importing it."""
    with _lock:
        return _look()


def _look() -> Telemetry:
    if sys.modules.get("onnxruntime") is None:
        return Telemetry.NOT_LOADED
    off = os.environ.get(VARIABLE) == "1"
    return _found.setdefault("state", Telemetry.OFF if off else Telemetry.HOST)


def installed_wheels() -> dict[str, str]:
    """Return the installed distributions of ONNX Runtime and their versions."""
    from importlib import metadata  # slow to import, and only needed when an engine is loaded

    found = {}
    for name in WHEELS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def onnxruntime_version() -> str:
    """Return the installed wheels and versions, if possible without importing; `unknown` if it is not here.

    Frozen applications have no package metadata, and must still notice another release.
    """
    wheels = installed_wheels()
    if wheels:
        return " ".join(map(" ".join, wheels.items()))
    try:
        return str(import_onnxruntime().__version__)
    except UnavailableError:
        return "unknown"


def has_cuda_provider() -> bool:
    """Whether the installed wheel is the one for NVIDIA GPUs, without importing it."""
    from importlib.util import find_spec

    try:
        spec = find_spec("onnxruntime")
    except ValueError:  # a host program replaced it by a module without a spec
        return False
    folders = [] if spec is None else spec.submodule_search_locations or []
    return any((Path(folder) / "capi" / CUDA_PROVIDER).is_file() for folder in folders)


def refuse_two_wheels(wheels: dict[str, str]) -> None:
    """Raise UnavailableError, with the command that repairs it, if two wheels own one folder."""
    if len(wheels) > 1:
        names = " ".join(wheels)
        extra = GPU_COMMAND if "onnxruntime-gpu" in wheels else CPU_COMMAND
        raise UnavailableError(
            f"{' and '.join(wheels)} are both installed and overwrite each other, expected one. "
            f"Run: pip uninstall -y {names} && {extra}"
        )


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with usage reporting off and return the module.

    Raises MissingExtraError (not installed), UnavailableError (two wheels), EngineUnavailableError (broken).
    """
    return import_apart(_import_quietly)


def _import_quietly() -> Any:
    with _lock:
        if _look() is Telemetry.NOT_LOADED:
            refuse_two_wheels(installed_wheels())
            os.environ[VARIABLE] = "1"
        module = _import()
        _look()
        if sys.platform == "win32":  # Windows reports through ETW, which the variable does not cover
            module.disable_telemetry_events()
        return module


def _import() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise EngineUnavailableError(
                f"ONNX Runtime cannot be imported ({error}). Install it again: {CPU_COMMAND}"
            ) from None
        raise MissingExtraError(
            "onnxruntime", f"{CPU_COMMAND}  (or, for an NVIDIA GPU: {GPU_COMMAND})", "Answering"
        ) from None
    except ImportError as error:
        raise EngineUnavailableError(
            f"ONNX Runtime cannot be imported ({error}). Install it again: {CPU_COMMAND}"
        ) from None
    if not hasattr(onnxruntime, "InferenceSession"):  # a folder that an uninstalled wheel left behind
        raise EngineUnavailableError(
            "The folder of onnxruntime is damaged: it has no InferenceSession. Install it again: "
            f"pip uninstall -y {' '.join(WHEELS[:2])} && {CPU_COMMAND}"
        )
    return onnxruntime
