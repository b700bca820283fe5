"""fp8 E4M3 W8A8 for GPUs: per-channel weights, activations per tensor at calibrated scales, or by rows.

    tensor   y = MatMul(DQ(Q(x, c), c), DQ(W))        c = calibrated range / 448, one for each activation
    row      y = MatMul(DQ(Q(x / s)), DQ(W)) × s      rows.py, at the constant scale 1/448

W is float8e4m3fn with one fp32 scale per output channel. All operators are standard. The embedding table stays in
the checkpoint's dtype, the letter readout in fp32. A product is computed by row if its activation was not
calibrated, or a constant scale errs more (measure/activation_scales.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch
from rim_runtime.bundle.manifest import Dialect, Precision

from rim_export.graph.convert import UnboundGraph
from rim_export.graph.edit import constant, insert
from rim_export.graph.skeleton import short_name
from rim_export.recipes.initializers import dequantized_weight
from rim_export.recipes.matrices import FP8_ROWS, SMALLEST, QuantizedRows, RowMatrices
from rim_export.recipes.recipe import Finer, Recipe, Rewrite, Rewriter
from rim_export.recipes.rows import by_row, round_rows
from rim_export.recipes.tables import SOURCE_TABLE
from rim_export.weights.model_weights import ModelWeights


def fp8_recipe(
    measured: Mapping[str, float | None], compensated: Mapping[str, QuantizedRows] | None = None
) -> Recipe:
    """Return the recipe for these ranges: the largest |activation| at a product, by the weight's name.

    None: this product is computed by row, as are those without an entry. Matrices that are not among the
    compensated are rounded to the nearest.
    """
    matrices = RowMatrices(FP8_ROWS, compensated or {})
    ranges = {name: reach for name, reach in measured.items() if reach is not None}
    return Recipe(
        Precision.FP8,
        Dialect.PORTABLE,
        partial(_Fp8Products, matrices, ranges),
        SOURCE_TABLE,
        partial(emulate_fp8, matrices, ranges),
        finer=Finer("fp8 by row", partial(_some_by_row, matrices, ranges), partial(emulate_fp8, matrices, {}))
        if ranges
        else None,
        by_row=tuple(short_name(name) for name, reach in measured.items() if reach is None),
    )


def _some_by_row(matrices: RowMatrices, ranges: Mapping[str, float], names: frozenset[str]) -> Rewrite:
    """Return how products are written, those with these weights by row."""
    return partial(_Fp8Products, matrices, {name: reach for name, reach in ranges.items() if name not in names})


def emulate_fp8(
    matrices: RowMatrices,
    ranges: Mapping[str, float],
    name: str,
    activations: torch.Tensor,
    weight: torch.Tensor,
) -> torch.Tensor:
    """Return the product as the fp8 graph computes it, [..., in] and [out, in] to [..., out]."""
    wide = matrices.rows(name, lambda _: weight).widened()
    if name in ranges:
        return round_range(activations, ranges[name]) @ wide.T
    return round_rows(activations, matrices.kind) @ wide.T


def round_fp8(values: torch.Tensor, scale: float) -> torch.Tensor:
    """Return values after quantization to E4M3 and back, in fp32; values out of range saturate."""
    step = torch.tensor(scale, dtype=torch.float32)
    return FP8_ROWS.numbers(values / step) * step


def round_range(values: torch.Tensor, reach: float) -> torch.Tensor:
    """Return values after E4M3 and back, at the scale of activations up to `reach`."""
    return round_fp8(values, activation_scale(reach))


def activation_scale(reach: float) -> float:
    """Return the scale that maps activations up to `reach` to the whole range of the format."""
    return max(reach, SMALLEST) / FP8_ROWS.largest


class _Fp8Products:
    """Writes the products of one graph: at calibrated scales, or by row if an activation was not calibrated."""

    def __init__(
        self, matrices: RowMatrices, ranges: Mapping[str, float], unbound: UnboundGraph, weights: ModelWeights
    ) -> None:
        self._matrices, self._ranges, self._unbound, self._weights = matrices, ranges, unbound, weights
        self._rounded: dict[ir.Value, ir.Value] = {}  # products of one activation share its quantized form

    def __call__(self, node: ir.Node, activation: ir.Value, weight: ir.Value) -> ir.Value:
        """Return the product of a MatMul node, and bind its weight."""
        if weight.name not in self._ranges:
            return self._by_row(node, activation, weight)
        if activation not in self._rounded:
            scale = activation_scale(self._ranges[str(weight.name)])
            self._rounded[activation] = self._round(node, activation, scale)
        wide = dequantized_weight(self._unbound, self._weights, node, weight, self._matrices)
        return insert(node, "MatMul", [self._rounded[activation], wide], f"{node.outputs[0].name}_fp8")

    @cached_property
    def _by_row(self) -> Rewriter:
        return by_row(self._matrices, self._unbound, self._weights)

    @cached_property
    def _zero(self) -> ir.Value:
        zero = np.zeros((), ml_dtypes.float8_e4m3fn)
        return constant(self._unbound.model.graph, "fp8_tensor_zero_point", zero)

    def _round(self, before: ir.Node, activation: ir.Value, scale: float) -> ir.Value:
        name, zero = activation.name, self._zero
        step = constant(self._unbound.model.graph, f"{name}_fp8_scale", np.array(scale, np.float32))
        narrow = insert(before, "QuantizeLinear", [activation, step, zero], f"{name}_fp8_q", dtype=FP8_ROWS.dtype)
        return insert(before, "DequantizeLinear", [narrow, step, zero], f"{name}_fp8_dq")
