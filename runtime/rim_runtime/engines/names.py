"""The engines by name, and the order in which `auto` tries them."""

from __future__ import annotations

from enum import StrEnum

from rim_runtime.errors import InputError


class EngineName(StrEnum):
    """The engines by name."""

    AUTO = "auto"
    """The best engine that works here."""
    ORT_CPU = "ort-cpu"
    """ONNX Runtime on the CPU."""
    OPENVINO = "openvino"
    """OpenVINO on the CPU."""
    ORT_CUDA = "ort-cuda"
    """ONNX Runtime on an NVIDIA GPU."""
    TRT = "trt"
    """TensorRT on an NVIDIA GPU."""


GPU_ENGINES = (EngineName.TRT, EngineName.ORT_CUDA)
"""In fallback order; the CPU engines follow."""
CPU_ENGINES = (EngineName.OPENVINO, EngineName.ORT_CPU)
"""Compared by their measured speed; the last fallback last."""


def parse_engine(name: str) -> EngineName:
    """Return the engine with this name. Raises InputError."""
    known = [engine.value for engine in EngineName]
    if name not in known:
        raise InputError(f"There is no engine {name!r}, expected one of {', '.join(known)}.")
    return EngineName(name)
