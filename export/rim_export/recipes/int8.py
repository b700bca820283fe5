"""int8 W8A8 by row normalisation (DESIGN 8): per-channel weights, per-token activations, no calibration.

    s = max(absmax(row of x), eps)      y = MatMul(DQ(Q(x / s)), DQ(W)) × s

Q and DQ have the constant scale 1/127 and zero point 0; W is int8 with one fp32 scale per output channel. A row's
result depends on that row alone, so a question's logits are the same alone and in any batch. All operators are
standard; ONNX Runtime fuses the product to MatMulIntegerToFloat. Embedding rows are int8 with one scale per row,
gathered and then widened. The letter readout stays in fp32.
"""

from __future__ import annotations

from functools import partial

import onnx_ir as ir
import torch
from rim_runtime.bundle.manifest import Dialect, Precision

from rim_export.recipes.initializers import WeightForm
from rim_export.recipes.matrices import LEVELS, quantize_rows, row_scales
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.rows import Grid, by_row, row_peaks
from rim_export.recipes.tables import INT8_TABLE

GRID = Grid("int8", ir.DataType.INT8, LEVELS)
FORM = WeightForm(GRID.dtype, quantize_rows, row_scales)


def emulate_int8(name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the product as the int8 graph computes it, [..., in] and [out, in] to [..., out]."""
    del name
    scale = row_peaks(activations)
    rows = (activations / scale * LEVELS).round() / LEVELS
    return (rows @ (quantize_rows(weight).float() * row_scales(weight)[:, None]).T) * scale


INT8 = Recipe(Precision.INT8, Dialect.PORTABLE, partial(by_row, GRID, FORM), INT8_TABLE, emulate_int8, joins=True)
