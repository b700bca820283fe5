"""The precisions: each has one or two recipes, made from what was measured; for GPUs, in 16-bit arithmetic.

| precision | file | what it does to weights and activations |
| --- | --- | --- |
| fp32, fp16, bf16 | floats.py | matrices are not quantized |
| int8 | int8.py | weights by output channel, activations by row |
| fp8 | fp8.py | weights by output channel, activations at calibrated scales or by row |
| int4 | int4.py | weights only, in blocks; two dialects |
| nvfp4 | nvfp4.py | weights only, in blocks of 16: an experiment |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from rim_runtime.bundle.manifest import Compute, Dialect, Precision

from rim_export.recipes.blocks import BlockFormat, Blocks, ZeroPoints
from rim_export.recipes.floats import BF16, FP16, FP32
from rim_export.recipes.fp8 import fp8_recipe
from rim_export.recipes.int4 import QuantizedMatrices, int4_recipes
from rim_export.recipes.int8 import int8_recipe
from rim_export.recipes.matrices import QuantizedRows
from rim_export.recipes.narrow_compute import TYPES
from rim_export.recipes.nvfp4 import NVFP4
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.tables import half_table
from rim_export.settings import DEFAULT_BLOCK_SIZE


@dataclass(frozen=True)
class Measured:
    """What recipes are made from, besides their precision."""

    ranges: Mapping[str, float | None] = field(default_factory=dict)
    """fp8: the largest |activation| at a product, by the weight's name; None, or missing: it is by row."""
    block_size: int = DEFAULT_BLOCK_SIZE
    """int4: weights that share a scale."""
    zero_points: ZeroPoints = ZeroPoints.OWN
    """int4: which zero points its blocks have."""
    blocks: Mapping[str, Blocks] = field(default_factory=dict)
    """int4: matrices whose errors were compensated, of that format; others are rounded to the nearest."""
    rows: Mapping[Precision, Mapping[str, QuantizedRows]] = field(default_factory=dict)
    """int8 and fp8: the same."""

    @property
    def matrices(self) -> QuantizedMatrices:
        """int4: the matrices."""
        return QuantizedMatrices(BlockFormat(self.block_size, self.zero_points), self.blocks)


RECIPES: Mapping[Precision, Callable[[Measured], tuple[Recipe, ...]]] = MappingProxyType(
    {
        Precision.FP32: lambda measured: (FP32,),
        Precision.BF16: lambda measured: (BF16,),
        Precision.FP16: lambda measured: (FP16,),
        Precision.INT8: lambda measured: (int8_recipe(measured.rows.get(Precision.INT8, {})),),
        Precision.FP8: lambda measured: (fp8_recipe(measured.ranges, measured.rows.get(Precision.FP8)),),
        Precision.INT4: lambda measured: int4_recipes(measured.matrices),
        Precision.NVFP4: lambda measured: (NVFP4,),
    }
)
"""The recipes of each precision, one per dialect, the default one first."""


def gpu_recipe(precision: Precision, compute: Compute, measured: Measured) -> Recipe:
    """Return a precision's recipe for GPUs: standard operators, 16-bit arithmetic, a 16-bit embedding table.

    For fp16 and bf16 the compute type is the precision itself, whatever `compute` says. fp32 has no 16-bit form.
    """
    assert precision is not Precision.FP32
    measured = replace(measured, zero_points=ZeroPoints.MIDDLE)  # TensorRT takes no others
    (recipe,) = (one for one in RECIPES[precision](measured) if one.dialect is Dialect.PORTABLE)
    if recipe.compute is not Compute.FP32:
        return recipe
    return replace(recipe, compute=compute, table=half_table(TYPES[compute]))
