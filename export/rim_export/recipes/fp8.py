"""fp8 E4M3 W8A8 for GPUs: per-channel weights, activations per tensor at calibrated scales, or by rows.

    tensor   y = MatMul(DQ(Q(x, c), c), DQ(W))        c = calibrated range / 448, one for each activation
    row      y = MatMul(DQ(Q(x / s)), DQ(W)) × s      rows.py, at the constant scale 1/448

W is float8e4m3fn with one fp32 scale per output channel. All operators are standard. The embedding table stays in
the checkpoint's dtype, the letter readout in fp32. If its activation was not calibrated, a product is computed by
row.
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
from rim_export.recipes.initializers import WeightForm, dequantized_weight
from rim_export.recipes.recipe import Finer, Recipe, Rewrite, Rewriter
from rim_export.recipes.rows import SMALLEST, Grid, by_row, row_peaks
from rim_export.recipes.tables import SOURCE_TABLE
from rim_export.weights.model_weights import ModelWeights

LARGEST = 448
"""The largest E4M3 number."""
GRID = Grid("fp8", ir.DataType.FLOAT8E4M3FN, LARGEST)


def fp8_recipe(ranges: Mapping[str, float]) -> Recipe:
    """Return the recipe for these ranges: the largest |activation| at a product, by the weight's name."""
    return Recipe(
        Precision.FP8,
        Dialect.PORTABLE,
        partial(_Fp8Products, ranges),
        SOURCE_TABLE,
        partial(emulate_fp8, ranges=ranges),
        finer=Finer("fp8 by row", partial(_some_by_row, ranges), partial(emulate_fp8, ranges={}))
        if ranges
        else None,
    )


def _some_by_row(ranges: Mapping[str, float], names: frozenset[str]) -> Rewrite:
    """Return how products are written, those with these weights by row."""
    return partial(_Fp8Products, {name: reach for name, reach in ranges.items() if name not in names})


def emulate_fp8(
    name: str, activations: torch.Tensor, weight: torch.Tensor, ranges: Mapping[str, float]
) -> torch.Tensor:
    """Return the product as the fp8 graph computes it, [..., in] and [out, in] to [..., out]."""
    scales = weight_scales(weight)
    wide = quantize_weight(weight).float() * scales[:, None]
    if name in ranges:
        return round_range(activations, ranges[name]) @ wide.T
    peaks = row_peaks(activations)
    return (round_fp8(activations / peaks, 1 / LARGEST) @ wide.T) * peaks


def round_fp8(values: torch.Tensor, scale: float) -> torch.Tensor:
    """Return values after quantization to E4M3 and back, in fp32; values out of range saturate."""
    step = torch.tensor(scale, dtype=torch.float32)
    narrow = (values / step).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
    return narrow.float() * step


def round_range(values: torch.Tensor, reach: float) -> torch.Tensor:
    """Return values after E4M3 and back, at the scale of activations up to `reach`."""
    return round_fp8(values, activation_scale(reach))


def activation_scale(reach: float) -> float:
    """Return the scale that maps activations up to `reach` to the whole range of the format."""
    return max(reach, SMALLEST) / LARGEST


def weight_scales(matrix: torch.Tensor) -> torch.Tensor:
    """Return the scale of each row of a matrix [out, in], fp32 [out]: absmax / 448."""
    return matrix.float().abs().amax(dim=1).clamp_min(SMALLEST) / LARGEST


def quantize_weight(matrix: torch.Tensor) -> torch.Tensor:
    """Return a matrix [out, in] in float8e4m3fn at its `weight_scales`."""
    scaled = matrix.float() / weight_scales(matrix)[:, None]
    return scaled.clamp_(-LARGEST, LARGEST).to(torch.float8_e4m3fn)


FORM = WeightForm(GRID.dtype, quantize_weight, weight_scales)


class _Fp8Products:
    """Writes the products of one graph: at calibrated scales, or by row if an activation was not calibrated."""

    def __init__(self, ranges: Mapping[str, float], unbound: UnboundGraph, weights: ModelWeights) -> None:
        self._ranges, self._unbound, self._weights = ranges, unbound, weights
        self._rounded: dict[ir.Value, ir.Value] = {}  # products of one activation share its quantized form

    def __call__(self, node: ir.Node, activation: ir.Value, weight: ir.Value) -> ir.Value:
        """Return the product of a MatMul node, and bind its weight."""
        if weight.name not in self._ranges:
            return self._by_row(node, activation, weight)
        if activation not in self._rounded:
            scale = activation_scale(self._ranges[str(weight.name)])
            self._rounded[activation] = self._round(node, activation, scale)
        wide = dequantized_weight(self._unbound, self._weights, node, weight, FORM)
        return insert(node, "MatMul", [self._rounded[activation], wide], f"{node.outputs[0].name}_fp8")

    @cached_property
    def _by_row(self) -> Rewriter:
        return by_row(GRID, FORM, self._unbound, self._weights)

    @cached_property
    def _zero(self) -> ir.Value:
        zero = np.zeros((), ml_dtypes.float8_e4m3fn)
        return constant(self._unbound.model.graph, "fp8_tensor_zero_point", zero)

    def _round(self, before: ir.Node, activation: ir.Value, scale: float) -> ir.Value:
        name, zero = activation.name, self._zero
        step = constant(self._unbound.model.graph, f"{name}_fp8_scale", np.array(scale, np.float32))
        narrow = insert(before, "QuantizeLinear", [activation, step, zero], f"{name}_fp8_q", dtype=GRID.dtype)
        return insert(before, "DequantizeLinear", [narrow, step, zero], f"{name}_fp8_dq")
