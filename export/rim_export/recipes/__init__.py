"""Precisions as data: how each writes a graph's weights, and how its arithmetic is emulated. One file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from rim_runtime.manifest import Precision

from rim_export.bind import ModelWeights
from rim_export.recipes.fp32 import bind_fp32
from rim_export.recipes.int8 import emulate_int8, quantize_int8
from rim_export.trace import TracedGraph

Emulate = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(activations fp32 [..., in], weight fp32 [out, in]) to products fp32 [..., out], with the recipe's rounding."""


@dataclass(frozen=True)
class Recipe:
    """What a precision does to a traced graph."""

    precision: Precision
    """Its name."""
    bind: Callable[[TracedGraph, ModelWeights, frozenset[str]], None]
    """Rewrites the graph and binds all weights; the matrices named last stay in fp32."""
    emulate: Emulate | None
    """Its products in torch, to see which layers they cost most; None where they are the checkpoint's own."""


RECIPES: Mapping[Precision, Recipe] = {
    recipe.precision: recipe
    for recipe in (
        Recipe(Precision.FP32, bind_fp32, None),
        Recipe(Precision.INT8, quantize_int8, emulate_int8),
    )
}
