"""Row normalisation: every token's activations divided by their own absmax, so one constant scale fits all.

    s = max(absmax(row of x), eps)      y = MatMul(DQ(Q(x / s)), W) × s

Q and DQ stand at the constant scale 1 / the format's largest number, with zero point 0. A row's result depends on
that row alone, and nothing is calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch

from rim_export.recipes.graph import constant, insert

SMALLEST = 1e-12
"""Floor of a row's absmax: an all-zero row stays zero instead of dividing by zero."""
_DTYPES = {ir.DataType.INT8: np.dtype(np.int8), ir.DataType.FLOAT8E4M3FN: np.dtype(ml_dtypes.float8_e4m3fn)}


@dataclass(frozen=True)
class Grid:
    """The numbers that activations are rounded to."""

    name: str
    """Prefix of its constants in the graph."""
    dtype: ir.DataType
    """The narrow type."""
    largest: int
    """Its largest number."""


@dataclass(frozen=True)
class Rows:
    """The normalised form of one activation."""

    unit: ir.Value
    """Rows within [-1, 1], behind Q/DQ, [..., in]."""
    scale: ir.Value
    """Their absmax, [..., 1]."""


class RowNormalizer:
    """Normalises activations of one graph; the products of one activation share its form."""

    def __init__(self, graph: ir.Graph, grid: Grid) -> None:
        self._grid = grid
        self._made: dict[ir.Value, Rows] = {}
        self._scale = constant(graph, f"{grid.name}_scale", np.array(1 / grid.largest, np.float32))
        self._zero = constant(graph, f"{grid.name}_zero_point", np.zeros((), _DTYPES[grid.dtype]))
        self._floor = constant(graph, f"{grid.name}_row_floor", np.array(SMALLEST, np.float32))
        self._axis = constant(graph, f"{grid.name}_row_axis", np.array([-1], np.int64))

    def multiply(self, node: ir.Node, activation: ir.Value, weight: ir.Value) -> ir.Value:
        """Return the product of a MatMul node's activation, by rows, and a dequantized weight."""
        rows = self._normalised(node, activation)
        name = node.outputs[0].name
        product = insert(node, "MatMul", [rows.unit, weight], f"{name}_unit")
        return insert(node, "Mul", [product, rows.scale], f"{name}_{self._grid.name}")

    def _normalised(self, before: ir.Node, activation: ir.Value) -> Rows:
        if activation not in self._made:
            self._made[activation] = self._normalise(before, activation)
        return self._made[activation]

    def _normalise(self, before: ir.Node, activation: ir.Value) -> Rows:
        name = activation.name
        size = insert(before, "Abs", [activation], f"{name}_abs")
        peak = insert(before, "ReduceMax", [size, self._axis], f"{name}_absmax", {"keepdims": 1})
        scale = insert(before, "Max", [peak, self._floor], f"{name}_row_scale")
        unit = insert(before, "Div", [activation, scale], f"{name}_unit")
        grid = [self._scale, self._zero]
        narrow = insert(before, "QuantizeLinear", [unit, *grid], f"{name}_q", dtype=self._grid.dtype)
        return Rows(insert(before, "DequantizeLinear", [narrow, *grid], f"{name}_dq"), scale)


def row_peaks(activations: torch.Tensor) -> torch.Tensor:
    """Return the absmax of every row, floored: fp32 [..., in] to [..., 1]."""
    return activations.abs().amax(dim=-1, keepdim=True).clamp_min(SMALLEST)
