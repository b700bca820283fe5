"""The precisions as GPUs take them: standard operators, 16 bits in between, the embedding table in 16 bits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from rim_runtime.bundle.manifest import Compute, Dialect, Precision

from rim_export.recipes.floats import BF16, FP16
from rim_export.recipes.fp8 import emulate_fp8, quantize_fp8
from rim_export.recipes.int4 import int4_recipes
from rim_export.recipes.int8 import emulate_int8, quantize_int8
from rim_export.recipes.narrow_compute import TYPES, typed
from rim_export.recipes.nvfp4 import emulate_nvfp4, quantize_nvfp4
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.tables import half_embedding

OWN_COMPUTE = {Precision.FP16: Compute.FP16, Precision.BF16: Compute.BF16}
"""Precisions that are a compute type themselves."""


def gpu_recipe(precision: Precision, compute: Compute, ranges: Mapping[str, float], block_size: int) -> Recipe:
    """Return the recipe of a precision for GPUs; `ranges` are fp8's, `block_size` int4's.

    For fp16 and bf16 the compute type is the precision itself, whatever `compute` says.
    """
    embed = half_embedding(TYPES[compute])
    match precision:
        case Precision.FP16:
            return FP16
        case Precision.BF16:
            return BF16
        case Precision.INT4:
            (recipe,) = (one for one in int4_recipes(block_size, embed) if one.dialect is Dialect.PORTABLE)
        case Precision.FP8:
            bind, emulate = partial(quantize_fp8, ranges=ranges, embed=embed), partial(emulate_fp8, ranges=ranges)
            recipe = Recipe(precision, Dialect.PORTABLE, bind, emulate)
        case Precision.INT8:
            recipe = Recipe(precision, Dialect.PORTABLE, partial(quantize_int8, embed=embed), emulate_int8)
        case Precision.NVFP4:
            recipe = Recipe(precision, Dialect.PORTABLE, partial(quantize_nvfp4, embed=embed), emulate_nvfp4)
        case Precision.FP32:
            raise ValueError("fp32 has no 16-bit form")
    return typed(recipe, compute)
