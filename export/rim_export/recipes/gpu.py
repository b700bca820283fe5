"""The precisions as GPUs take them: standard operators alone, 16 bits in between, the embedding table in 16 bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

from rim_runtime.manifest import Compute, Dialect, Precision

from rim_export.recipes.bf16 import BF16
from rim_export.recipes.embedding import half_embedding
from rim_export.recipes.fp8 import fp8_recipe
from rim_export.recipes.fp16 import FP16
from rim_export.recipes.int4 import int4_recipes
from rim_export.recipes.int8 import INT8
from rim_export.recipes.nvfp4 import NVFP4
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.typed import TYPES, typed


def gpu_recipe(precision: Precision, compute: Compute, ranges: Mapping[str, float], block_size: int) -> Recipe:
    """Return the recipe of a precision for GPUs; `ranges` are fp8's, `block_size` int4's.

    For fp16 and bf16 the compute type is the precision itself.
    """
    if precision in (Precision.FP16, Precision.BF16):
        return FP16 if precision is Precision.FP16 else BF16
    (narrow,) = {
        Precision.INT8: [INT8],
        Precision.FP8: [fp8_recipe(ranges)],
        Precision.INT4: [one for one in int4_recipes(block_size) if one.dialect is Dialect.PORTABLE],
        Precision.NVFP4: [NVFP4],
    }[precision]
    embedded = dataclasses.replace(narrow, bind=partial(narrow.bind, embed=half_embedding(TYPES[compute])))
    return typed(embedded, compute)
