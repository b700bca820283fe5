"""Precisions as data: how each writes a graph's weights, and how its arithmetic is emulated. One file each."""

from __future__ import annotations

from collections.abc import Mapping

from rim_runtime.manifest import Dialect, Precision

from rim_export.recipes.fp8 import Activations, fp8_recipe, round_range
from rim_export.recipes.fp32 import FP32
from rim_export.recipes.int4 import int4_recipes
from rim_export.recipes.int8 import INT8
from rim_export.recipes.recipe import Emulate, Recipe

__all__ = [
    "FP32",
    "INT8",
    "Activations",
    "Emulate",
    "Recipe",
    "dialects_of",
    "fp8_recipe",
    "int4_recipes",
    "round_range",
]

_DIALECTS: Mapping[Precision, tuple[Dialect, ...]] = {Precision.INT4: (Dialect.ORT, Dialect.PORTABLE)}


def dialects_of(precision: Precision) -> tuple[Dialect, ...]:
    """Return the forms in which a precision is written, the default one first."""
    return _DIALECTS.get(precision, (Dialect.PORTABLE,))
