"""The optional parts of rim-edge: what each needs and how it is installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from rim_runtime.errors import MissingExtraError

EXTRAS = {
    "cpu": ("onnxruntime",),
    "openvino": ("openvino",),
    "export": (
        "torch",
        "transformers",
        "onnx",
        "onnx_ir",
        "onnxscript",
        "ml_dtypes",
        "safetensors",
        "scipy",
        "optimum",
    ),
    "train": (
        "torch",
        "transformers",
        "accelerate",
        "peft",
        "safetensors",
        "matplotlib",
        "filelock",
        "optimum",
        "tomlkit",
    ),
    "serve": ("starlette", "uvicorn"),
    "sign": ("model_signing", "cryptography", "OpenSSL"),
    "tensorboard": ("torch", "tensorboard"),
    "gguf": ("torch", "transformers", "accelerate", "gguf", "safetensors"),
}
"""Extra to the modules it brings, as in pyproject.toml (`gpu` brings cpu's module in another wheel)."""


@dataclass(frozen=True)
class ExtraStatus:
    """Whether one extra is installed."""

    name: str
    """Its name in `rim-edge[…]`."""
    missing: tuple[str, ...]
    """Modules that are not installed."""
    command: str
    """The command that installs it."""


def extra_status(name: str) -> ExtraStatus:
    """Look for an extra's modules without importing them."""
    missing = tuple(module for module in EXTRAS[name] if importlib.util.find_spec(module) is None)
    return ExtraStatus(name, missing, f'pip install "rim-edge[{name}]"')


def require_extra(name: str, needed_for: str) -> None:
    """Raise MissingExtraError with the install command if a module of the extra is missing."""
    status = extra_status(name)
    if status.missing:
        raise MissingExtraError(", ".join(status.missing), status.command, needed_for)
