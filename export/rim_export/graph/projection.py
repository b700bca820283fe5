"""Linear layers in the layout of the graph."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

Linear: TypeAlias = nn.Linear | Conv1D
"""transformers' linear layers; GPT-2's Conv1D is one too."""


class Projection(nn.Module):
    """A linear layer whose weight has the layout of ONNX's MatMul, [in, out], so no Transpose is needed."""

    def __init__(self, inputs: int, outputs: int, *, biased: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False) if biased else None

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[…, in] -> […, out]."""
        product = hidden @ self.weight
        return product if self.bias is None else product + self.bias


def use_projections(model: nn.Module) -> None:
    """Replace every linear layer below `model` by a Projection."""
    for name, module in list(model.named_modules()):
        if isinstance(module, Linear):
            model.set_submodule(name, _like(module))


def _like(module: Linear) -> Projection:
    outputs, inputs = rows_first(module).shape
    return Projection(inputs, outputs, biased=module.bias is not None)


def rows_first(module: Linear) -> torch.Tensor:
    """Return a linear layer's weight as [out, in]; Conv1D has it the other way round."""
    weight: torch.Tensor = module.weight
    return weight.T if isinstance(module, Conv1D) else weight
