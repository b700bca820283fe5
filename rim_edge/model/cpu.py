"""What makes training fast on a CPU: fp32 products through oneDNN, and freed memory that is kept.

torch multiplies fp32 through MKL, which leaves AMD's AVX-512 unused: on one core 104 GFLOPS, oneDNN 240 (and 110
to 200 for gradients of weights). bf16 goes through oneDNN in torch itself; all but fp32 on a CPU is left to torch.

Left alone, glibc gives the activations back to the system after every backward pass, and the next forward pass
faults them in anew, page by page: an eighth of a small model's step.
"""

from __future__ import annotations

import ctypes
import platform
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor, nn


def through_onednn(model: nn.Module) -> None:
    """Make a model's linear layers multiply by `product`; weights and names stay the same."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = _Linear


def product(states: Tensor, weight: Tensor) -> Tensor:
    """Return states [..., in] times weight [out, in]: [..., out]."""
    if _is_ours(states) and _is_ours(weight):
        return _Product.apply(states, weight)  # type: ignore[no-any-return, no-untyped-call]
    return F.linear(states, weight)


class _Linear(nn.Linear):
    """A linear layer that differs from its base in how it multiplies."""

    def forward(self, input: Tensor) -> Tensor:
        result = product(input, self.weight)
        return result if self.bias is None else result + self.bias


class _Product(torch.autograd.Function):
    """oneDNN's product, which has no gradient of its own in torch."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(states, weight)
        return _multiply(states, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        states, weight = ctx.saved_tensors
        of_states, of_weight = ctx.needs_input_grad
        return (
            _multiply(gradient, weight.t()) if of_states else None,
            _of_weight(gradient.flatten(0, -2), states.flatten(0, -2)) if of_weight else None,
        )


def _of_weight(gradient: Tensor, states: Tensor) -> Tensor:
    """Return the gradient [out, in] of a weight; oneDNN copies the first operand, so the narrower is first."""
    if states.shape[1] < gradient.shape[1]:
        return _multiply(states.t(), gradient.t()).t()
    return _multiply(gradient.t(), states.t())


def _is_ours(tensor: Tensor) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.dtype is torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )


def _multiply(states: Tensor, weight: Tensor) -> Tensor:
    """[..., in] times [out, in], either of them in any order of memory."""
    return torch.ops.mkldnn._linear_pointwise(states, weight, None, "none", [], "")  # type: ignore[no-any-return]


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""mallopt's parameters: how much free memory is given back, and from which size on blocks are mapped."""
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep what it frees, where its C library is glibc; elsewhere nothing happens."""
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
