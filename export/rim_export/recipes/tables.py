"""The embedding table: stored narrow, gathered, then widened; never expanded as a whole.

In int4, packed bytes are gathered, and only the gathered rows are unpacked:

    byte = 16 (second half of a block + 8) + (first half + 8)      row = (value - 8) × scale of its block

The standard Gather does not take int4, so bytes are split by arithmetic: exact in fp32, and every engine runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import gcd

import numpy as np
import onnx_ir as ir
import torch

from rim_export.graph.convert import UnboundGraph
from rim_export.graph.edit import constant, insert, lazy_initializer, replace_node, static_shape
from rim_export.recipes.initializers import bind_tensor
from rim_export.recipes.matrices import BlockSource, quantize_rows, row_scales
from rim_export.weights.model_weights import ModelWeights, as_array

NARROW = {torch.bfloat16: ir.DataType.BFLOAT16, torch.float16: ir.DataType.FLOAT16}
"""Dtypes of a checkpoint's table that are stored unchanged."""


def bind_source_table(unbound: UnboundGraph, weights: ModelWeights) -> None:
    """Bind the table in the checkpoint's own dtype: the widening is exact."""
    dtype = NARROW.get(weights.read(unbound.embedding).dtype, ir.DataType.FLOAT)
    _bind_floats(unbound, weights, dtype)


def half_table(dtype: ir.DataType) -> Callable[[UnboundGraph, ModelWeights], None]:
    """Return a binder of the table in a 16-bit type; fp16 keeps bf16 values of 6e-5 to 65,504 exactly."""
    return partial(_bind_floats, dtype=dtype)


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


def bind_int8_table(unbound: UnboundGraph, weights: ModelWeights) -> None:
    """Bind the table as int8 rows with one fp32 scale per row."""
    graph, name = unbound.model.graph, unbound.embedding
    table = graph.initializers[name]
    (gather,) = table.consumers()
    ids = gather.inputs[1]
    assert ids is not None
    bind_tensor(unbound, name, lambda: as_array(quantize_rows(weights.read(name))), ir.DataType.INT8)
    scale = lazy_initializer(
        graph,
        f"{name}_scale",
        lambda: as_array(row_scales(weights.read(name))[:, None]),
        [static_shape(table)[0], 1],
    )
    rows = insert(gather, "Gather", [table, ids], f"{name}_rows", {"axis": 0}, dtype=ir.DataType.INT8)
    scales = insert(gather, "Gather", [scale, ids], f"{name}_row_scales", {"axis": 0})
    wide = insert(gather, "Cast", [rows], f"{name}_wide", {"to": ir.DataType.FLOAT.value})
    replace_node(gather, insert(gather, "Mul", [wide, scales], f"{gather.outputs[0].name}_int8"))


BLOCK = 32
"""Values that share a scale, whatever the matrices' blocks: a gather, unlike a product, averages out no errors."""
ZERO = 8
"""The value that represents 0 in a nibble."""
FLOAT = {"to": ir.DataType.FLOAT.value}


def bind_int4_table(unbound: UnboundGraph, weights: ModelWeights) -> None:
    """Bind the table as bytes [vocabulary, blocks, block / 2] of two values, with one fp16 scale per block."""
    graph, name = unbound.model.graph, unbound.embedding
    table = graph.initializers[name]
    rows, width = static_shape(table)
    size = gcd(width, BLOCK)
    (gather,) = table.consumers()
    source, read = BlockSource(size), partial(weights.read, name)
    bind_tensor(
        unbound,
        name,
        lambda: _packed(source.blocks(name, read).values),
        ir.DataType.UINT8,
        (rows, width // size, size // 2),
    )
    scale = lazy_initializer(
        graph,
        f"{name}_scale",
        lambda: as_array(source.scales(name, read)[:, :, None]),
        [rows, width // size, 1],
        ir.DataType.FLOAT16,
    )
    replace_node(gather, _unpacked_rows(graph, gather, table, scale, width))


def _unpacked_rows(graph: ir.Graph, gather: ir.Node, table: ir.Value, scale: ir.Value, width: int) -> ir.Value:
    """Insert the nodes that compute the rows of the gather's ids, and return the rows, fp32 [..., width]."""
    name, ids, shape = table.name, gather.inputs[1], gather.outputs[0].shape
    assert ids is not None
    assert shape is not None
    sixteen = constant(graph, f"{name}_sixteen", np.array(16, np.float32))
    zero = constant(graph, f"{name}_zero", np.array(ZERO, np.float32))
    flat = constant(graph, f"{name}_flat", np.array([*(len(shape) - 1) * [0], width], np.int64))
    packed = insert(gather, "Gather", [table, ids], f"{name}_bytes", {"axis": 0}, dtype=ir.DataType.UINT8)
    scales = insert(gather, "Gather", [scale, ids], f"{name}_scales", {"axis": 0}, dtype=ir.DataType.FLOAT16)
    steps = insert(gather, "Cast", [scales], f"{name}_scales_fp32", FLOAT)
    both = insert(gather, "Cast", [packed], f"{name}_both", FLOAT)
    sixteenths = insert(gather, "Div", [both, sixteen], f"{name}_sixteenths")
    second = insert(gather, "Floor", [sixteenths], f"{name}_second")
    above = insert(gather, "Mul", [second, sixteen], f"{name}_above")
    first = insert(gather, "Sub", [both, above], f"{name}_first")
    halves = insert(gather, "Concat", [first, second], f"{name}_halves", {"axis": -1})
    values = insert(gather, "Sub", [halves, zero], f"{name}_values")
    blocks = insert(gather, "Mul", [values, steps], f"{name}_blocks")
    return insert(gather, "Reshape", [blocks, flat], f"{gather.outputs[0].name}_int4")


def _packed(values: torch.Tensor) -> np.ndarray:
    """Return int4 [rows, blocks, size] as uint8 [rows, blocks, size / 2], a block's first half in the low bits."""
    first, second = (values + ZERO).chunk(2, dim=-1)
    return as_array((first | (second << 4)).to(torch.uint8))
