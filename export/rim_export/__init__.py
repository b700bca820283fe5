"""Checkpoint to verified bundle: convert, quantize, certify, package.

Names are imported on first use: the trainer needs only the prompt contract, without the ONNX tools.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rim_runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from rim_export.certification.certificate import Certificate, VariantCertificate
    from rim_export.checkpoint.folder import DEFAULT_MODEL
    from rim_export.errors import (
        CalibrationError,
        CertificateError,
        CheckpointError,
        CheckpointNotFoundError,
        GraphRuleError,
        HeadroomError,
        TargetError,
        UnsupportedModelError,
        VariantRefusedError,
    )
    from rim_export.pipeline import ExportReport, export
    from rim_export.preflight import check_request
    from rim_export.settings import (
        Activations,
        AnswerForm,
        ExportOptions,
        RangeMethod,
        Rounding,
        default_precision,
    )

__all__ = [
    "DEFAULT_MODEL",
    "Activations",
    "AnswerForm",
    "CalibrationError",
    "Certificate",
    "CertificateError",
    "CheckpointError",
    "CheckpointNotFoundError",
    "ExportOptions",
    "ExportReport",
    "GraphRuleError",
    "HeadroomError",
    "RangeMethod",
    "Rounding",
    "TargetError",
    "UnsupportedModelError",
    "VariantCertificate",
    "VariantRefusedError",
    "check_request",
    "default_precision",
    "export",
]

_HOMES = {
    "rim_export.certification.certificate": ("Certificate", "VariantCertificate"),
    "rim_export.checkpoint.folder": ("DEFAULT_MODEL",),
    "rim_export.errors": (
        "CalibrationError",
        "CertificateError",
        "CheckpointError",
        "CheckpointNotFoundError",
        "GraphRuleError",
        "HeadroomError",
        "TargetError",
        "UnsupportedModelError",
        "VariantRefusedError",
    ),
    "rim_export.pipeline": ("ExportReport", "export"),
    "rim_export.preflight": ("check_request",),
    "rim_export.settings": (
        "Activations",
        "AnswerForm",
        "ExportOptions",
        "RangeMethod",
        "Rounding",
        "default_precision",
    ),
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
