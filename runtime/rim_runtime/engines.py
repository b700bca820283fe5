"""Every engine by its name, and how to open one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rim_runtime.backends.ort_cpu import OrtCpuBackend
from rim_runtime.backends.protocol import Backend
from rim_runtime.bundle import Bundle
from rim_runtime.errors import EngineUnavailableError, InputError, UnavailableError
from rim_runtime.manifest import Precision, Variant
from rim_runtime.onnx_runtime import import_onnxruntime


class EngineName(StrEnum):
    """The engines by name."""

    AUTO = "auto"
    """The best that works here."""
    ORT_CPU = "ort-cpu"
    """ONNX Runtime on the CPU."""
    OPENVINO = "openvino"
    """OpenVINO; not in this release."""
    ORT_CUDA = "ort-cuda"
    """ONNX Runtime on an NVIDIA GPU; not in this release."""
    TRT = "trt"
    """TensorRT on an NVIDIA GPU; not in this release."""


@dataclass(frozen=True)
class EngineStatus:
    """Whether one engine can run on this machine."""

    name: EngineName
    """Which one."""
    available: bool
    """Whether it can."""
    reason: str
    """Its library and version, or what is in the way and what to do."""


def parse_engine(name: str) -> EngineName:
    """Return the engine of this name, `auto` resolved.

    Raises InputError for a word that is no engine, EngineUnavailableError for one not in this release.
    """
    known = [engine.value for engine in EngineName]
    if name not in known:
        raise InputError(f"There is no engine {name!r}, expected one of {', '.join(known)}.")
    if name not in (EngineName.AUTO, EngineName.ORT_CPU):
        raise EngineUnavailableError(_not_yet(EngineName(name)))
    return EngineName.ORT_CPU


def parse_precision(name: str) -> Precision:
    """Return the precision of this name. Raises InputError."""
    known = [precision.value for precision in Precision]
    if name not in known:
        raise InputError(f"There is no precision {name!r}, expected one of {', '.join(known)}.")
    return Precision(name)


def open_backend(name: EngineName, bundle: Bundle, variant: Variant, threads: int | None) -> Backend:
    """Load a variant on an engine. Raises UnavailableError, BundleCorruptError or InputError."""
    if name is not EngineName.ORT_CPU:
        raise EngineUnavailableError(_not_yet(name))
    return OrtCpuBackend(bundle, variant, threads)


def require_engine(name: EngineName) -> None:
    """Raise UnavailableError if the engine's library is not here, before anything slow is done for it."""
    if name is EngineName.ORT_CPU:
        import_onnxruntime()


def engine_statuses() -> tuple[EngineStatus, ...]:
    """Say of every engine whether it can run here; imports ONNX Runtime to find out."""
    try:
        cpu = EngineStatus(EngineName.ORT_CPU, True, f"onnxruntime {import_onnxruntime().__version__}")
    except UnavailableError as error:
        cpu = EngineStatus(EngineName.ORT_CPU, False, str(error))
    later = (EngineName.OPENVINO, EngineName.ORT_CUDA, EngineName.TRT)
    return (cpu, *(EngineStatus(name, False, "not in this release yet") for name in later))


def _not_yet(name: EngineName) -> str:
    return f"The engine {name} is not in this release yet. Use ort-cpu, or auto for the best that works here."
