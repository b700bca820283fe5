"""int8 W8A8 by row normalisation (DESIGN 8): per-channel weights, per-token activations, no calibration.

    s = max(absmax(row of x), eps)      y = MatMul(DQ(Q(x / s)), DQ(W)) × s

Q and DQ stand at the constant scale 1/127 with zero point 0, W is int8 with one fp32 scale an output channel.
A row's result depends on that row alone, so a question's logits are the same alone and in any batch. Only
standard operators; ONNX Runtime fuses the product to MatMulIntegerToFloat. Embedding rows are int8 with a
scale a row, gathered and then widened. The letter readout stays in fp32.
"""

from __future__ import annotations

import onnx_ir as ir
import torch
from onnx_ir.passes.common import RemoveUnusedNodesPass
from rim_runtime.bundle.manifest import Dialect, Precision

from rim_export.graph.edit import products, replace_node
from rim_export.graph.trace import TracedGraph
from rim_export.recipes.bind import WeightForm, bind_matrices, bind_vectors, dequantized_weight, narrow_matrices
from rim_export.recipes.matrices import LEVELS, quantize_rows, row_scales
from rim_export.recipes.merge import merge_products
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.rows import Grid, RowNormalizer, row_peaks
from rim_export.recipes.tables import Embed, bind_int8_embedding
from rim_export.weights.model_weights import ModelWeights

GRID = Grid("int8", ir.DataType.INT8, LEVELS)
FORM = WeightForm(GRID.dtype, quantize_rows, row_scales)


def quantize_int8(
    traced: TracedGraph, weights: ModelWeights, wide: frozenset[str], embed: Embed = bind_int8_embedding
) -> None:
    """Rewrite every big matrix product but the wide ones to int8 and bind all weights."""
    bind_vectors(traced, weights)
    narrow = narrow_matrices(traced, weights, wide)
    bind_matrices(traced, weights, traced.matrices - narrow)
    _quantize_products(traced, weights, merge_products(traced, narrow))
    embed(traced, weights)


def emulate_int8(name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the product as the int8 graph computes it, [..., in] and [out, in] to [..., out]."""
    del name
    scale = row_peaks(activations)
    rows = (activations / scale * LEVELS).round() / LEVELS
    return (rows @ (quantize_rows(weight).float() * row_scales(weight)[:, None]).T) * scale


INT8 = Recipe(Precision.INT8, Dialect.PORTABLE, quantize_int8, emulate_int8)


def _quantize_products(traced: TracedGraph, weights: ModelWeights, names: frozenset[str]) -> None:
    graph = traced.model.graph
    normalizer = RowNormalizer(graph, GRID)
    for node, activation, weight in products(graph, names):
        wide = dequantized_weight(traced, weights, node, weight, FORM)
        replace_node(node, normalizer.multiply(node, activation, wide))
    RemoveUnusedNodesPass()(traced.model)
