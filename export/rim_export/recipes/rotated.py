"""Recipes on rotated weights (weights/rotation.py): int8 and fp8 err less where no channel stands out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from rim_runtime.bundle.manifest import Precision

from rim_export.recipes.recipe import Emulate, Recipe
from rim_export.weights.rotation import Rotation

ROTATED = (Precision.INT8, Precision.FP8)
"""Precisions whose activations are narrow. Rotation does not help int4's weights in blocks."""


def rotated(recipe: Recipe, rotation: Rotation | None) -> Recipe:
    """Return the recipe on rotated weights; unchanged if there is no rotation, or none that it takes."""
    if rotation is None or recipe.rotation is not None or recipe.precision not in ROTATED:
        return recipe
    assert recipe.emulate is not None
    finer = recipe.finer
    if finer is not None:
        finer = replace(finer, emulate=partial(emulate_rotated, finer.emulate, rotation))
    emulate = partial(emulate_rotated, recipe.emulate, rotation)
    return replace(recipe, rotation=rotation, emulate=emulate, finer=finer)


def emulate_rotated(
    emulate: Emulate, rotation: Rotation, name: str, activations: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Return the checkpoint's product as a rotated graph computes it, [..., in] and [out, in] to [..., out]."""
    turned = emulate(name, rotation.turn_input(name, activations), rotation.fold(name, weight))
    return rotation.turn_back(name, turned)
