"""Row normalisation: every token's activations are divided by their absmax, so one constant scale fits all.

    s = max(absmax(row of x), eps)      y = MatMul(DQ(Q(x / s)), W) × s

Q and DQ have the constant scale 1 / (the format's largest number) and zero point 0. A row's result depends on that
row alone, and nothing is calibrated.

Two changes save time without changing results. ONNX Runtime fuses a product into one kernel only if nothing else
uses its DQ, and it merges equal ones: so of several products of one activation, the n-th has s / 2ⁿ and a scale 2ⁿ
times as large. And if an activation is a × (y × t), with t a factor of its rows, a × y has the same rows / absmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch

from rim_export.graph.convert import UnboundGraph
from rim_export.graph.edit import constant, insert
from rim_export.recipes.block_turn import turn_of
from rim_export.recipes.initializers import dequantized_weight
from rim_export.recipes.matrices import SMALLEST, NarrowType, RowMatrices
from rim_export.recipes.recipe import Rewriter
from rim_export.weights.model_weights import ModelWeights

_DTYPES = {ir.DataType.INT8: np.dtype(np.int8), ir.DataType.FLOAT8E4M3FN: np.dtype(ml_dtypes.float8_e4m3fn)}


@dataclass
class Rows:
    """One activation, prepared for normalisation."""

    values: ir.Value
    """The activation, possibly without a factor of each row, [..., in]."""
    peak: ir.Value
    """The rows' absmax, [..., 1]."""
    factor: ir.Value | None
    """The factor left out of each row, [..., 1]."""
    products: int = 0
    """How many products use it so far."""


@dataclass(frozen=True)
class ScaledProduct:
    """A product whose rows are multiplied by a factor."""

    unit: ir.Value
    """The product before the multiplication, [..., out]."""
    factor: ir.Value
    """One number per row, [..., 1]."""


class RowNormalizer:
    """Normalises the activations of one graph."""

    def __init__(self, graph: ir.Graph, kind: NarrowType) -> None:
        self._graph = graph
        self._kind = kind
        self._rows: dict[ir.Value, Rows] = {}
        self._products: dict[ir.Value, ScaledProduct] = {}
        self._constants: dict[str, ir.Value] = {}
        self._zero = self._constant("zero_point", np.zeros((), _DTYPES[kind.dtype]))

    def multiply(self, node: ir.Node, activation: ir.Value, weight: ir.Value) -> ir.Value:
        """Return the product of a MatMul node's activation, normalised by row, and a dequantized weight."""
        if activation not in self._rows:
            self._rows[activation] = self._measure(node, activation)
        rows, name = self._rows[activation], node.outputs[0].name
        peak, step = self._scaled_by(node, rows)
        rows.products += 1
        unit = insert(node, "Div", [rows.values, peak], f"{name}_rows")
        grid = [step, self._zero]
        narrow = insert(node, "QuantizeLinear", [unit, *grid], f"{name}_q", dtype=self._kind.dtype)
        wide = insert(node, "DequantizeLinear", [narrow, *grid], f"{name}_dq")
        bare = insert(node, "MatMul", [wide, weight], f"{name}_unit")
        factor = insert(node, "Mul", [peak, rows.factor], f"{name}_factor") if rows.factor else peak
        product = insert(node, "Mul", [bare, factor], f"{name}_{self._kind.name}")
        self._products[product] = ScaledProduct(bare, factor)
        return product

    def _scaled_by(self, before: ir.Node, rows: Rows) -> tuple[ir.Value, ir.Value]:
        """Return s and the constant scale for the next product of these rows; powers of two are exact."""
        times = 2**rows.products
        step = self._constant(f"scale_x{times}", np.array(times / self._kind.largest, np.float32))
        if times == 1:
            return rows.peak, step
        share = self._constant(f"share_{times}", np.array(1 / times, np.float32))
        return insert(before, "Mul", [rows.peak, share], f"{rows.peak.name}_{times}"), step

    def _measure(self, before: ir.Node, activation: ir.Value) -> Rows:
        name = activation.name
        values, factor = self._without_factor(before, activation)
        size = insert(before, "Abs", [values], f"{name}_abs")
        axis = self._constant("row_axis", np.array([-1], np.int64))
        absmax = insert(before, "ReduceMax", [size, axis], f"{name}_absmax", {"keepdims": 1})
        floor = self._constant("row_floor", np.array(SMALLEST, np.float32))
        return Rows(values, insert(before, "Max", [absmax, floor], f"{name}_peak"), factor)

    def _without_factor(self, before: ir.Node, activation: ir.Value) -> tuple[ir.Value, ir.Value | None]:
        """Return (a × y, t) if the activation is a × (y × t), turned or not, else (the activation, None)."""
        if turned := turn_of(activation):
            turn, source = turned
            bare, factor = self._without_factor(before, source)
            return (turn.insert(before, bare, f"{activation.name}_bare"), factor) if factor else (activation, None)
        node = activation.producer()
        factors = node.inputs if node is not None and node.op_type == "Mul" else ()
        for value, other in zip(factors, reversed(factors), strict=True):
            product = self._products.get(value) if value is not None else None
            if product and other is not None:
                return insert(before, "Mul", [other, product.unit], f"{activation.name}_bare"), product.factor
        return activation, None

    def _constant(self, name: str, array: np.ndarray) -> ir.Value:
        if name not in self._constants:
            self._constants[name] = constant(self._graph, f"{self._kind.name}_{name}", array)
        return self._constants[name]


def by_row(matrices: RowMatrices, unbound: UnboundGraph, weights: ModelWeights) -> Rewriter:
    """Return the function that writes a graph's products by row, with these weights."""
    return partial(_multiply_by_row, RowNormalizer(unbound.model.graph, matrices.kind), matrices, unbound, weights)


def _multiply_by_row(
    normalizer: RowNormalizer,
    matrices: RowMatrices,
    unbound: UnboundGraph,
    weights: ModelWeights,
    node: ir.Node,
    activation: ir.Value,
    weight: ir.Value,
) -> ir.Value:
    wide = dequantized_weight(unbound, weights, node, weight, matrices)
    return normalizer.multiply(node, activation, wide)


def round_rows(activations: torch.Tensor, kind: NarrowType) -> torch.Tensor:
    """Return activations, fp32 [..., in], after the narrow type and back, every row at its own absmax."""
    scales = activations.abs().amax(dim=-1, keepdim=True).clamp_min(SMALLEST) / kind.largest
    return kind.numbers(activations / scales) * scales
