"""Checkpoint to verified bundle: trace, quantize, certify, package.

Names are loaded when they are used: the trainer needs the prompt contract alone, without ONNX tools.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rim_runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from rim_export.certify import Certificate, VariantCertificate
    from rim_export.checkpoint import DEFAULT_MODEL
    from rim_export.errors import (
        CertificateError,
        CheckpointError,
        CheckpointNotFoundError,
        UnsupportedModelError,
    )
    from rim_export.pipeline import ExportOptions, ExportReport, export

__all__ = [
    "DEFAULT_MODEL",
    "Certificate",
    "CertificateError",
    "CheckpointError",
    "CheckpointNotFoundError",
    "ExportOptions",
    "ExportReport",
    "UnsupportedModelError",
    "VariantCertificate",
    "export",
]

_HOMES = {
    "rim_export.certify": ("Certificate", "VariantCertificate"),
    "rim_export.checkpoint": ("DEFAULT_MODEL",),
    "rim_export.errors": (
        "CertificateError",
        "CheckpointError",
        "CheckpointNotFoundError",
        "UnsupportedModelError",
    ),
    "rim_export.pipeline": ("ExportOptions", "ExportReport", "export"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(_load(module), name)
    raise AttributeError(f"module 'rim_export' has no attribute {name!r}")


def _load(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package.startswith("rim_"):
            raise
        raise MissingExtraError(package, 'pip install "rim-edge[cpu,export]"', "Exporting") from None
