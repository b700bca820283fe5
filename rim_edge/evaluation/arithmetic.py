"""Where and in which number format a checkpoint is scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_runtime.bundle.manifest import Precision
from rim_runtime.errors import InputError, UnavailableError

from rim_edge.model.checkpoint import saved_dtype

DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
"""The arithmetic that a checkpoint can be scored in."""
_FIRST_WITH_BF16 = (8, 0)
"""The first compute capability with kernels for bf16."""


@dataclass(frozen=True)
class Arithmetic:
    """A device and a number format."""

    device: torch.device
    """Where the model is."""
    precision: Precision
    """The number format of its weights and activations."""

    @property
    def dtype(self) -> torch.dtype:
        """The format as torch has it."""
        return DTYPES[self.precision]

    @property
    def device_name(self) -> str:
        """The device in words, such as `cpu` or `cuda:0 (NVIDIA H100)`."""
        if self.device.type != "cuda":
            return str(self.device)
        return f"{self.device} ({torch.cuda.get_device_name(self.device)})"


def choose_arithmetic(folder: Path, device: str, precision: Precision | None) -> Arithmetic:
    """Return what is meant by `--device` and `--precision`.

    `auto` is a GPU where torch has one, else the CPU. No precision: on a CPU fp32, as certificates are made; on a
    GPU bf16 where the checkpoint is stored so and the GPU has it, else fp32.
    Raises InputError for other words, and UnavailableError for a device that is not here.
    """
    if precision is not None and precision not in DTYPES:
        raise InputError(
            f"--precision is {precision}, expected {', '.join(DTYPES)}: a checkpoint is scored in torch. "
            "Export it to score a narrower one."
        )
    found = _device(device)
    if precision is None:
        stored = saved_dtype(Checkpoint.open(folder).config)
        narrow = stored is torch.bfloat16 and found.type == "cuda"
        has_it = narrow and torch.cuda.get_device_capability(found) >= _FIRST_WITH_BF16
        precision = Precision.BF16 if has_it else Precision.FP32
    return Arithmetic(found, precision)


def _device(text: str) -> torch.device:
    if text == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    kind, colon, number = text.partition(":")
    if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not (number.isascii() and number.isdigit()))):
        raise InputError(f"--device is {text!r}, expected auto, cpu, cuda or cuda:N.")
    if kind == "cpu":
        return torch.device("cpu")
    index, count = int(number or 0), torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        raise UnavailableError(
            f"--device is {text!r}, and torch finds {count} CUDA devices here. Take --device cpu, or install a "
            "driver and a torch with CUDA."
        )
    return torch.device("cuda", index)
