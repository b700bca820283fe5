"""fp32: every matrix as traced; the embedding table in the checkpoint's own dtype, widened after the gather.

The widening is exact, so this variant is the checkpoint's arithmetic, at half the table's size.
"""

from __future__ import annotations

import onnx_ir as ir
import torch

from rim_export.bind import ModelWeights, as_array, bind, bind_matrices, bind_vectors
from rim_export.trace import TracedGraph

NARROW = {torch.bfloat16: ir.DataType.BFLOAT16, torch.float16: ir.DataType.FLOAT16}
"""Dtypes in which an embedding table is stored as the checkpoint has it."""


def bind_fp32(traced: TracedGraph, weights: ModelWeights, wide: frozenset[str]) -> None:
    """Bind every weight in fp32, the embedding table in the checkpoint's dtype; all is wide as it is."""
    del wide
    bind_matrices(traced, weights, traced.matrices)
    bind_vectors(traced, weights)
    _bind_embedding(traced, weights)


def _bind_embedding(traced: TracedGraph, weights: ModelWeights) -> None:
    name = traced.embedding
    dtype = NARROW.get(weights.read(name).dtype, ir.DataType.FLOAT)
    bind(traced, name, lambda: as_array(weights.read(name)), dtype)
    if dtype is ir.DataType.FLOAT:
        return
    table = traced.model.graph.initializers[name]
    (gather,) = table.consumers()
    wide = gather.outputs[0]
    cast = ir.node("Cast", [wide], {"to": ir.DataType.FLOAT.value})
    cast.outputs[0].name, cast.outputs[0].shape = f"{wide.name}_fp32", wide.shape
    cast.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    ir.convenience.replace_all_uses_with(wide, cast.outputs[0])
    cast.replace_input_with(0, wide)
    wide.type = ir.TensorType(dtype)
    traced.model.graph.insert_after(gather, cast)
