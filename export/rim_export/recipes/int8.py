"""int8 W8A8 by row normalisation (DESIGN 8): per-channel weights, per-token activations.

    s = max(absmax(row of x), eps)      y = MatMul(DQ(Q(x / s)), DQ(W)) × s

Q and DQ have the constant scale 1/127 and zero point 0; W is int8 with one fp32 scale per output channel. A row's
result depends on that row alone, so a question's logits are the same alone and in any batch. All operators are
standard; ONNX Runtime fuses the product to MatMulIntegerToFloat. Embedding rows are int8 with one scale per row,
gathered and then widened. The letter readout stays in fp32.

Activations need no calibration. The weights are rounded so that products change least (gptq.py), if calibration
gave their inputs' moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from rim_runtime.bundle.manifest import Dialect, Precision

from rim_export.recipes.matrices import INT8_ROWS, QuantizedRows, RowMatrices
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.rows import by_row, round_rows
from rim_export.recipes.tables import INT8_TABLE


def emulate_int8(
    matrices: RowMatrices, name: str, activations: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Return the product as the int8 graph computes it, [..., in] and [out, in] to [..., out]."""
    wide = matrices.rows(name, lambda _: weight).widened()
    return round_rows(activations, matrices.kind) @ wide.T


def int8_recipe(compensated: Mapping[str, QuantizedRows]) -> Recipe:
    """Return the recipe with these matrices; others are rounded to the nearest."""
    matrices = RowMatrices(INT8_ROWS, compensated)
    return Recipe(
        Precision.INT8,
        Dialect.PORTABLE,
        partial(by_row, matrices),
        INT8_TABLE,
        partial(emulate_int8, matrices),
        joins=True,
    )


INT8 = int8_recipe({})
"""int8 with nothing compensated."""
