"""fp32, fp16 and bf16: matrices are not quantized.

fp32 is the checkpoint's arithmetic: the embedding table stays in the checkpoint's own dtype and is widened,
exactly, after the gather. fp16 and bf16 are for GPUs, in a 16-bit graph (narrow_compute.py), with products of one
activation merged. fp16 is written only if a checkpoint's activations stay within its range (measure/headroom.py).
"""

from __future__ import annotations

from functools import partial

import torch
from rim_runtime.bundle.manifest import Compute, Dialect, Precision

from rim_export.recipes.narrow_compute import TYPES
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.tables import SOURCE_TABLE, half_table

LARGEST_FP16 = 65504.0
"""The largest fp16 number."""


def emulate_half(dtype: torch.dtype, name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return a product with operands and result rounded to a 16-bit type and sums in fp32, as fp32 [..., out]."""
    del name
    return (activations.to(dtype).float() @ weight.to(dtype).float().T).to(dtype).float()


def _half(precision: Precision, compute: Compute, dtype: torch.dtype) -> Recipe:
    """Return the recipe for a precision that is a compute type: all layers are as wide as the graph computes."""
    return Recipe(
        precision,
        Dialect.PORTABLE,
        rewrite=None,
        table=half_table(TYPES[compute]),
        emulate=partial(emulate_half, dtype),
        joins=True,
        widens=False,
        compute=compute,
    )


FP32 = Recipe(Precision.FP32, Dialect.PORTABLE, rewrite=None, table=SOURCE_TABLE, emulate=None, widens=False)
FP16 = _half(Precision.FP16, Compute.FP16, torch.float16)
BF16 = _half(Precision.BF16, Compute.BF16, torch.bfloat16)
