"""fp32: every matrix as traced; the embedding table in the checkpoint's own dtype, widened after the gather.

The widening is exact, so this variant is the checkpoint's arithmetic, at half the table's size.
"""

from __future__ import annotations

from rim_runtime.manifest import Dialect, Precision

from rim_export.bind import ModelWeights, bind_matrices, bind_vectors
from rim_export.recipes.embedding import bind_source_embedding
from rim_export.recipes.recipe import Recipe
from rim_export.trace import TracedGraph


def bind_fp32(traced: TracedGraph, weights: ModelWeights, wide: frozenset[str]) -> None:
    """Bind every weight in fp32, the embedding table in the checkpoint's dtype; all is wide as it is."""
    del wide
    bind_matrices(traced, weights, traced.matrices)
    bind_vectors(traced, weights)
    bind_source_embedding(traced, weights)


FP32 = Recipe(Precision.FP32, Dialect.PORTABLE, bind_fp32, None)
