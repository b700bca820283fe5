"""The embedding table: stored narrow, gathered, then widened; never expanded as a whole."""

from __future__ import annotations

from functools import partial

import onnx_ir as ir
import torch

from rim_export.graph.convert import UnboundGraph
from rim_export.graph.edit import insert, lazy_initializer, replace_node, static_shape
from rim_export.recipes.initializers import NarrowMatrix, bind_tensor
from rim_export.recipes.matrices import INT8_ROWS
from rim_export.recipes.recipe import Table
from rim_export.weights.model_weights import ModelWeights, as_array

NARROW = {torch.bfloat16: ir.DataType.BFLOAT16, torch.float16: ir.DataType.FLOAT16}
"""Dtypes of a checkpoint's table that are stored unchanged."""


def _bind_source(unbound: UnboundGraph, weights: ModelWeights) -> None:
    """Bind the table in the checkpoint's own dtype: exact, but for rows of a rotated table, rounded once."""
    dtype = NARROW.get(weights.dtype(unbound.embedding), ir.DataType.FLOAT)
    _bind_floats(unbound, weights, dtype)


def half_table(dtype: ir.DataType) -> Table:
    """Return the table in a 16-bit type; fp16 keeps bf16 values of 6e-5 to 65,504 exactly."""
    return Table(dtype.name.lower(), partial(_bind_floats, dtype=dtype))


def _bind_floats(unbound: UnboundGraph, weights: ModelWeights, dtype: ir.DataType) -> None:
    name = unbound.embedding
    torch_type = next((narrow for narrow, stored in NARROW.items() if stored is dtype), torch.float32)
    bind_tensor(unbound, name, lambda: as_array(weights.read(name).to(torch_type)), dtype)
    if dtype is ir.DataType.FLOAT:
        return
    table = unbound.model.graph.initializers[name]
    (gather,) = table.consumers()
    wide = gather.outputs[0]
    cast = ir.node("Cast", [wide], {"to": ir.DataType.FLOAT.value})
    cast.outputs[0].name, cast.outputs[0].shape = f"{wide.name}_fp32", wide.shape
    cast.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    ir.convenience.replace_all_uses_with(wide, cast.outputs[0])
    cast.replace_input_with(0, wide)
    wide.type = ir.TensorType(dtype)
    unbound.model.graph.insert_after(gather, cast)


def _bind_int8(unbound: UnboundGraph, weights: ModelWeights) -> None:
    """Bind the table as int8 rows with one fp32 scale per row."""
    graph, name = unbound.model.graph, unbound.embedding
    table = graph.initializers[name]
    (gather,) = table.consumers()
    ids = gather.inputs[1]
    assert ids is not None
    narrow = NarrowMatrix(lambda: INT8_ROWS.quantize(weights.read(name)))
    bind_tensor(unbound, name, lambda: as_array(narrow.numbers()), ir.DataType.INT8)
    scale = lazy_initializer(
        graph, f"{name}_scale", lambda: as_array(narrow.scales()[:, None]), [static_shape(table)[0], 1]
    )
    rows = insert(gather, "Gather", [table, ids], f"{name}_rows", {"axis": 0}, dtype=ir.DataType.INT8)
    scales = insert(gather, "Gather", [scale, ids], f"{name}_row_scales", {"axis": 0})
    wide = insert(gather, "Cast", [rows], f"{name}_wide", {"to": ir.DataType.FLOAT.value})
    replace_node(gather, insert(gather, "Mul", [wide, scales], f"{gather.outputs[0].name}_int8"))


def _rounded(rows: torch.Tensor) -> torch.Tensor:
    """Return rows as an int8 table gives them, fp32 [..., hidden]."""
    return INT8_ROWS.quantize(rows.flatten(0, -2)).widened().reshape(rows.shape)


SOURCE_TABLE = Table("the checkpoint's dtype", _bind_source)
INT8_TABLE = Table("int8", _bind_int8, _rounded, wide=SOURCE_TABLE)
