"""A graph in 16 bits: products, attention and what is between them; norms, residuals and readout stay in fp32.

TensorRT has no attention in fp32, and its engines are strongly typed: the graph decides the precision. So products
and attention take their operands in the compute type, and operators that only move values keep their type.
Everything else takes fp32, through a Cast if needed:

    residual fp32 → RMSNormalization fp32 → Cast → MatMul 16 bits → Cast → Add fp32

Around Q/DQ nothing is cast: QuantizeLinear takes fp32 at an fp32 scale, and DequantizeLinear returns the compute
type by `output_dtype`. In blocks, its scales have the compute type, because TensorRT-RTX infers no type otherwise.
The fp32 residual stream keeps a model's few huge activations out of fp16. The few rows of the letters are
multiplied and summed instead of using MatMul: TensorRT may round fp32 products to TF32, and has none on Turing.
"""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import onnx_ir as ir
from rim_runtime.bundle.manifest import Compute
from rim_runtime.prompt.options import LETTERS

from rim_export.graph.convert import READOUT
from rim_export.graph.edit import constant, insert, lazy, static_shape

TYPES = {Compute.FP16: ir.DataType.FLOAT16, Compute.BF16: ir.DataType.BFLOAT16}
ARRAYS: Mapping[Compute, np.dtype] = {
    Compute.FP16: np.dtype(np.float16),
    Compute.BF16: np.dtype(ml_dtypes.bfloat16),
}
SMALLEST_NORMAL = {ir.DataType.FLOAT16: 2.0**-14, ir.DataType.BFLOAT16: 2.0**-126}
FLOATS = {ir.DataType.FLOAT, *TYPES.values()}
NARROW_OPERATORS = {"MatMul", "Attention"}
"""They take all operands in the compute type and return it; the only exception is the readout."""
CARRIERS = {"Reshape", "Transpose", "Split", "Squeeze", "Unsqueeze", "Expand", "Slice", "Gather", "GatherElements"}
"""They return the values of their first operand, moved."""
GATES = {"Sigmoid", "Mul"}
"""Elementwise operators between products, as in an MLP's activation: in the compute type if an operand is."""


def narrow_compute(graph: ir.Graph, compute: Compute) -> None:
    """Rewrite a graph with bound weights and fp32 floats to compute in this type."""
    _Narrowing(graph, compute).run()


class _Narrowing:
    """One pass over a graph in its order: a node's operands have their final types when the node is reached."""

    def __init__(self, graph: ir.Graph, compute: Compute) -> None:
        self._graph = graph
        self._type = TYPES[compute]
        self._array = ARRAYS[compute]
        self._casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def run(self) -> None:
        for node in list(self._graph):
            if node.op_type == "MatMul" and _is_of_letters(node):
                self._spell_out(node)
            elif node.op_type in ("Cast", "QuantizeLinear", "DequantizeLinear"):
                self._convert_converter(node)
            else:
                self._convert(node)
        self._widen_outputs()

    def _convert(self, node: ir.Node) -> None:
        wanted = self._type_of(node)
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype in FLOATS and value.dtype is not wanted:
                node.replace_input_with(index, self._as(node, value, wanted))
        for output in node.outputs:
            if output.dtype in FLOATS:
                output.type = ir.TensorType(wanted)

    def _type_of(self, node: ir.Node) -> ir.DataType:
        first, *others = [value for value in node.inputs if value is not None]
        if node.op_type in NARROW_OPERATORS:
            return self._type
        if node.op_type in CARRIERS:
            return first.dtype or ir.DataType.FLOAT
        gates = node.op_type in GATES and any(value.dtype is self._type for value in (first, *others))
        return self._type if gates else ir.DataType.FLOAT

    def _convert_converter(self, node: ir.Node) -> None:
        """Let Q take fp32, DQ return the compute type unless a user needs fp32, and a Cast keep its own type."""
        source, output = node.inputs[0], node.outputs[0]
        assert source is not None
        if node.op_type == "QuantizeLinear" and source.dtype is not ir.DataType.FLOAT:
            node.replace_input_with(0, self._as(node, source, ir.DataType.FLOAT))
        if node.op_type != "DequantizeLinear" or not _feeds_products(output):
            return
        output.type = ir.TensorType(self._type)
        scale = node.inputs[1]
        assert scale is not None
        if "block_size" in node.attributes:
            node.replace_input_with(1, self._scales(node, scale))
        else:
            node.attributes["output_dtype"] = ir.AttrInt64("output_dtype", self._type.value)

    def _spell_out(self, node: ir.Node) -> None:
        """Turn the letters' readout into fp32 products and sums."""
        row, rows = node.inputs
        assert row is not None and rows is not None
        last = constant(self._graph, f"{READOUT}_axis", np.array([-1], np.int64))
        first = constant(self._graph, f"{READOUT}_summed_axis", np.array([1], np.int64))
        logits = node.outputs[0]
        name = logits.name
        column = insert(node, "Unsqueeze", [row, last], f"{name}_column")
        terms = insert(node, "Mul", [column, rows], f"{name}_terms")
        total = insert(node, "ReduceSum", [terms, first], f"{name}_sum", {"keepdims": 0})
        total.name, total.shape, logits.name = name, logits.shape, f"{name}_product"
        self._graph.outputs[self._graph.outputs.index(logits)] = total
        self._graph.remove(node, safe=True)

    def _widen_outputs(self) -> None:
        """Cast the graph's outputs to fp32: a full output projection computes in 16 bits."""
        for index, value in enumerate(self._graph.outputs):
            if value.dtype is self._type:
                node = ir.node("Cast", [value], {"to": ir.DataType.FLOAT.value})
                result, name = node.outputs[0], value.name
                result.name, result.shape, value.name = name, value.shape, f"{name}_narrow"
                result.type = ir.TensorType(ir.DataType.FLOAT)
                self._graph.append(node)
                self._graph.outputs[index] = result

    def _scales(self, node: ir.Node, scale: ir.Value) -> ir.Value:
        """Return blocks' scales in the compute type; those too small for it stay above 0."""
        wide = scale.const_value
        if wide is None or scale.dtype is self._type:
            return scale if scale.dtype is self._type else self._as(node, scale, self._type)
        array, smallest = self._array, SMALLEST_NORMAL[self._type]
        scale.type = ir.TensorType(self._type)
        scale.const_value = lazy(
            str(scale.name),
            lambda: _above_zero(wide.numpy().astype(array), smallest),
            self._type,
            static_shape(scale),
        )
        return scale

    def _as(self, before: ir.Node, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        """Return a value in another type: constants are rewritten, others pass a Cast that their users share."""
        if (value, wanted) not in self._casts:
            make = self._rewritten if value.is_initializer() else self._cast
            self._casts[value, wanted] = make(before, value, wanted)
        return self._casts[value, wanted]

    def _cast(self, before: ir.Node, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        node = ir.node("Cast", [value], {"to": wanted.value})
        result = node.outputs[0]
        result.name, result.shape = f"{value.name}_{wanted.name.lower()}", value.shape
        result.type = ir.TensorType(wanted)
        self._graph.insert_before(before, node)
        return result

    def _rewritten(self, before: ir.Node, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        """Return a constant in another type: rewritten in place, or after a Cast if a node needs the original."""
        wide = value.const_value
        assert wide is not None
        if any(self._type_of(user) is not wanted for user, _ in value.uses()):
            return self._cast(before, value, wanted)
        assert wanted is self._type
        array = self._array
        name, shape = str(value.name), static_shape(value)
        value.const_value = lazy(name, lambda: wide.numpy().astype(array), wanted, shape)
        value.type = ir.TensorType(wanted)
        return value


def _above_zero(scales: np.ndarray, smallest: float) -> np.ndarray:
    """Return scales with zeros, which blocks of zeros may have, replaced by `smallest`."""
    return np.where(scales == 0, np.array(smallest, scales.dtype), scales)


def _is_of_letters(node: ir.Node) -> bool:
    """Whether a product is the readout of the letters, rather than of the whole vocabulary."""
    rows = node.inputs[1]
    return rows is not None and rows.name == READOUT and static_shape(rows)[1] <= len(LETTERS)


def _feeds_products(value: ir.Value) -> bool:
    """Whether a dequantized value is an operand of products, or the scales of such an operand."""
    users = [node for node, _ in value.uses()]
    return bool(users) and all(
        user.op_type in NARROW_OPERATORS or "block_size" in user.attributes for user in users
    )
