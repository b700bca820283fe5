"""int8 W8A8 by row normalisation (DESIGN 8): per-channel weights, per-token activations, no calibration.

    s = max(absmax(row of x), eps)      y = MatMul(DQ(Q(x / s)), DQ(W)) × s

Q and DQ stand at the constant scale 1/127 with zero point 0, W is int8 with one fp32 scale an output channel.
A row's result depends on that row alone, so a question's logits are the same alone and in any batch. Only
standard operators; ONNX Runtime fuses the product to MatMulIntegerToFloat. Embedding rows are int8 with a
scale a row, gathered and then widened. The letter readout stays in fp32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import torch
from rim_runtime.manifest import Head

from rim_export.bind import ModelWeights, as_array, bind, bind_matrices, bind_vectors, lazy, static_shape
from rim_export.trace import READOUT, TracedGraph

LEVELS = 127
_SMALLEST = 1e-12
"""Floor of a row's absmax: an all-zero row stays zero instead of dividing by zero."""
_ROWS_AT_ONCE = 8192


def quantize_int8(traced: TracedGraph, weights: ModelWeights, wide: frozenset[str]) -> None:
    """Rewrite every big matrix product but the wide ones, and the embedding, to int8 and bind all weights."""
    bind_vectors(traced, weights)
    quantized = traced.matrices - wide - ({READOUT} if weights.head is Head.LETTERS else set())
    bind_matrices(traced, weights, traced.matrices - quantized)
    _quantize_products(traced, weights, quantized)
    _quantize_embedding(traced, weights)


def row_scales(matrix: torch.Tensor) -> torch.Tensor:
    """Return the symmetric scale of each row, fp32 [rows]: absmax / 127."""
    chunks = [chunk.float().abs().amax(dim=1) for chunk in torch.split(matrix, _ROWS_AT_ONCE)]
    return torch.cat(chunks).clamp_min(_SMALLEST) / LEVELS


def quantize_rows(matrix: torch.Tensor) -> torch.Tensor:
    """Return the rows of a matrix in int8 at their `row_scales`."""
    scales = row_scales(matrix)[:, None]
    parts = zip(torch.split(matrix, _ROWS_AT_ONCE), torch.split(scales, _ROWS_AT_ONCE), strict=True)
    return torch.cat([(part.float() / scale).round().to(torch.int8) for part, scale in parts])


def emulate_int8(activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the product as the int8 graph computes it, [..., in] and [out, in] to [..., out]."""
    scale = activations.abs().amax(dim=-1, keepdim=True).clamp_min(_SMALLEST)
    rows = (activations / scale * LEVELS).round() / LEVELS
    return (rows @ (quantize_rows(weight).float() * row_scales(weight)[:, None]).T) * scale


def _quantize_products(traced: TracedGraph, weights: ModelWeights, names: frozenset[str]) -> None:
    graph = traced.model.graph
    one = _constant(graph, "int8_scale", np.array(1 / LEVELS, dtype=np.float32))
    zero = _constant(graph, "int8_zero_point", np.array(0, dtype=np.int8))
    floor = _constant(graph, "int8_row_floor", np.array(_SMALLEST, dtype=np.float32))
    axis = _constant(graph, "int8_row_axis", np.array([-1], dtype=np.int64))
    rows: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}  # products of one activation share its normalised form
    for node in list(graph):
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        if weight is None or weight.name not in names:
            continue
        activation = node.inputs[0]
        assert activation is not None
        if activation not in rows:
            rows[activation] = _normalise(graph, node, activation, (floor, axis, one, zero))
        normal, scale = rows[activation]
        wide = _dequantized_weight(traced, weights, node, weight)
        product = _insert(graph, node, "MatMul", [normal, wide], f"{node.outputs[0].name}_unit")
        result = _insert(graph, node, "Mul", [product, scale], f"{node.outputs[0].name}_int8")
        result.shape = node.outputs[0].shape
        ir.convenience.replace_all_uses_with(node.outputs[0], result)
        graph.remove(node, safe=True)


def _normalise(
    graph: ir.Graph, before: ir.Node, activation: ir.Value, constants: tuple[ir.Value, ...]
) -> tuple[ir.Value, ir.Value]:
    """Return (the activation with rows scaled to [-1, 1] behind Q/DQ, the rows' absmax)."""
    floor, axis, one, zero = constants
    name = activation.name
    size = _insert(graph, before, "Abs", [activation], f"{name}_abs")
    peak = _insert(graph, before, "ReduceMax", [size, axis], f"{name}_absmax", {"keepdims": 1})
    scale = _insert(graph, before, "Max", [peak, floor], f"{name}_row_scale")
    unit = _insert(graph, before, "Div", [activation, scale], f"{name}_unit")
    narrow = _insert(graph, before, "QuantizeLinear", [unit, one, zero], f"{name}_q", dtype=ir.DataType.INT8)
    return _insert(graph, before, "DequantizeLinear", [narrow, one, zero], f"{name}_dq"), scale


def _dequantized_weight(traced: TracedGraph, weights: ModelWeights, before: ir.Node, weight: ir.Value) -> ir.Value:
    name = weight.name
    assert name is not None
    bind(traced, name, lambda: as_array(quantize_rows(weights.read(name)).T), ir.DataType.INT8)
    scale = _lazy_initializer(
        traced.model.graph,
        f"{name}_scale",
        lambda: as_array(row_scales(weights.read(name))),
        [static_shape(weight)[1]],
    )
    return _insert(traced.model.graph, before, "DequantizeLinear", [weight, scale], f"{name}_dq", {"axis": 1})


def _quantize_embedding(traced: TracedGraph, weights: ModelWeights) -> None:
    graph, name = traced.model.graph, traced.embedding
    table = graph.initializers[name]
    (gather,) = table.consumers()
    ids, output = gather.inputs[1], gather.outputs[0]
    assert ids is not None
    bind(traced, name, lambda: as_array(quantize_rows(weights.read(name))), ir.DataType.INT8)
    scale = _lazy_initializer(
        graph,
        f"{name}_scale",
        lambda: as_array(row_scales(weights.read(name))[:, None]),
        [static_shape(table)[0], 1],
    )
    rows = _insert(graph, gather, "Gather", [table, ids], f"{name}_rows", {"axis": 0}, ir.DataType.INT8)
    scales = _insert(graph, gather, "Gather", [scale, ids], f"{name}_row_scales", {"axis": 0})
    wide = _insert(graph, gather, "Cast", [rows], f"{name}_wide", {"to": ir.DataType.FLOAT.value})
    result = _insert(graph, gather, "Mul", [wide, scales], f"{output.name}_int8")
    result.shape = output.shape
    ir.convenience.replace_all_uses_with(output, result)
    graph.remove(gather, safe=True)


def _insert(
    graph: ir.Graph,
    before: ir.Node,
    operator: str,
    inputs: list[ir.Value],
    name: str,
    attributes: dict[str, int] | None = None,
    dtype: ir.DataType = ir.DataType.FLOAT,
) -> ir.Value:
    node = ir.node(operator, inputs, attributes or {})
    output = node.outputs[0]
    output.name, output.type = name, ir.TensorType(dtype)
    graph.insert_before(before, node)
    return output


def _constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    tensor = ir.Tensor(array, name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _lazy_initializer(graph: ir.Graph, name: str, read: Callable[[], np.ndarray], shape: list[int]) -> ir.Value:
    tensor = lazy(name, read, ir.DataType.FLOAT, shape)
    value = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT), const_value=tensor)
    graph.register_initializer(value)
    return value
