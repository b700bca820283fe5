"""What a recipe is: a precision as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from rim_runtime.manifest import Dialect, Precision

from rim_export.bind import ModelWeights
from rim_export.trace import TracedGraph

Bind = Callable[[TracedGraph, ModelWeights, frozenset[str]], None]
"""Rewrites the graph and binds all weights; the matrices named last stay in fp32."""
Emulate = Callable[[str, torch.Tensor, torch.Tensor], torch.Tensor]
"""(name of the weight, activations fp32 [..., in], weight fp32 [out, in]) to products fp32 [..., out]."""


@dataclass(frozen=True)
class Recipe:
    """What a precision does to a traced graph."""

    precision: Precision
    """Its number format."""
    dialect: Dialect
    """The operators it writes."""
    bind: Bind
    """Writes the weights in its form."""
    emulate: Emulate | None
    """Its products in torch, to see which layers they cost most; None where they are the checkpoint's own."""

    @property
    def name(self) -> str:
        """The variant's name: the precision, and the dialect unless it is the portable one."""
        return str(self.precision) if self.dialect is Dialect.PORTABLE else f"{self.precision}-{self.dialect}"
