"""What a recipe is: a precision as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from rim_runtime.bundle.manifest import Compute, Dialect, Precision

from rim_export.graph.trace import TracedGraph
from rim_export.weights.model_weights import ModelWeights

Bind = Callable[[TracedGraph, ModelWeights, frozenset[str]], None]
"""Rewrites the graph and binds all weights; the matrices named last stay as wide as they were."""
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

    compute: Compute = Compute.FP32
    """What the graph computes in between its products."""

    @property
    def name(self) -> str:
        """The variant's name: the precision, then dialect and compute type unless they are the usual ones."""
        dialect = () if self.dialect is Dialect.PORTABLE else (self.dialect,)
        compute = () if self.compute in (Compute.FP32, self.precision.value) else (self.compute,)
        return "-".join([self.precision, *dialect, *compute])
