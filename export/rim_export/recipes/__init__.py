"""Precisions as data: how each writes a graph's weights, and how its arithmetic is emulated. One file each."""

from __future__ import annotations

from rim_export.recipes.floats import FP32
from rim_export.recipes.fp8 import fp8_recipe, round_range
from rim_export.recipes.int4 import int4_recipes
from rim_export.recipes.int8 import INT8
from rim_export.recipes.recipe import Emulate, Recipe

__all__ = [
    "FP32",
    "INT8",
    "Emulate",
    "Recipe",
    "fp8_recipe",
    "int4_recipes",
    "round_range",
]
