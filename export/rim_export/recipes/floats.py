"""fp32, fp16 and bf16: matrices as they are.

fp32 is the checkpoint's arithmetic: the embedding table stays in the checkpoint's own dtype and is widened,
exactly, after the gather. fp16 and bf16 are for GPUs, in a 16-bit graph (narrow_compute.py), with products of one
activation side by side; fp16 only where a checkpoint's activations stay within its range (measure/headroom.py).
"""

from __future__ import annotations

from functools import partial

import torch
from rim_runtime.bundle.manifest import Compute, Dialect, Precision

from rim_export.graph.trace import TracedGraph
from rim_export.recipes.bind import bind_matrices, bind_vectors, narrow_matrices
from rim_export.recipes.merge import merge_products
from rim_export.recipes.narrow_compute import TYPES, typed
from rim_export.recipes.recipe import Emulate, Recipe
from rim_export.recipes.tables import bind_source_embedding, half_embedding
from rim_export.weights.model_weights import ModelWeights


def bind_fp32(traced: TracedGraph, weights: ModelWeights, wide: frozenset[str]) -> None:
    """Bind every weight in fp32, the embedding table in the checkpoint's dtype; all is wide as it is."""
    del wide
    bind_matrices(traced, weights, traced.matrices)
    bind_vectors(traced, weights)
    bind_source_embedding(traced, weights)


FP32 = Recipe(Precision.FP32, Dialect.PORTABLE, bind_fp32, None)


def half_recipe(precision: Precision, compute: Compute, dtype: torch.dtype) -> Recipe:
    """Return the recipe of a precision that is a compute type."""

    def bind(traced: TracedGraph, weights: ModelWeights, wide: frozenset[str]) -> None:
        del wide  # all are as wide as the graph computes
        products = narrow_matrices(traced, weights, frozenset())
        readout = traced.matrices - products
        bind_matrices(traced, weights, merge_products(traced, products) | readout)
        bind_vectors(traced, weights)
        half_embedding(TYPES[compute])(traced, weights)

    return typed(Recipe(precision, Dialect.PORTABLE, bind, emulate_half(dtype)), compute)


def emulate_half(dtype: torch.dtype) -> Emulate:
    """Return a product's emulation: operands and result rounded to the type, sums in fp32."""
    return partial(_product, dtype)


def _product(dtype: torch.dtype, name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    del name
    return (activations.to(dtype).float() @ weight.to(dtype).float().T).to(dtype).float()


BF16 = half_recipe(Precision.BF16, Compute.BF16, torch.bfloat16)
FP16 = half_recipe(Precision.FP16, Compute.FP16, torch.float16)
LARGEST = 65504.0
"""The largest fp16 number."""
