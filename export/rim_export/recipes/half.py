"""fp16 and bf16 matrices as they are in a 16-bit graph (typed.py): products of one activation side by side."""

from __future__ import annotations

from functools import partial

import torch
from rim_runtime.manifest import Compute, Dialect, Precision

from rim_export.bind import ModelWeights, bind_matrices, bind_vectors
from rim_export.recipes.embedding import half_embedding
from rim_export.recipes.graph import narrow_matrices
from rim_export.recipes.merge import merge_products
from rim_export.recipes.recipe import Emulate, Recipe
from rim_export.recipes.typed import TYPES, typed
from rim_export.trace import TracedGraph


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
