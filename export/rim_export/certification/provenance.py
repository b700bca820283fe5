"""What a certificate says of how it came about: recipes with every option, files by hash."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

from rim_runtime.bundle.folder import sha256_file
from rim_runtime.bundle.manifest import Precision

from rim_export.checkpoint.contents import READ_FILES
from rim_export.checkpoint.folder import Checkpoint
from rim_export.question_sets import CalibrationSet
from rim_export.recipes.recipe import Recipe
from rim_export.settings import Activations, ExportOptions

_IN_THE_VARIANT = ("precision",)
"""What the certificate's entry says anyway."""
_BLOCKS = (Precision.INT4,)
"""Precisions whose blocks have a size that can be chosen."""


def describe_recipe(
    recipe: Recipe, options: ExportOptions, measured_on: CalibrationSet | None
) -> Mapping[str, Any]:
    """Return every option that made a variant, as JSON: the recipe's own values, and those it was made from."""
    told: dict[str, Any] = {}
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if field.name not in _IN_THE_VARIANT and isinstance(value, Enum | bool | int | float | str):
            told[field.name] = value.value if isinstance(value, Enum) else value
    if recipe.smoothing is not None:
        told["smoothing"] = list(recipe.smoothing.strengths)
    if recipe.precision in _BLOCKS:
        told["block_size"] = int(options.block_size)
    if recipe.precision is Precision.FP8:
        told["activations"] = options.activations.value
        if options.activations is Activations.TENSOR:
            told["ranges"] = options.ranges.value
    if measured_on is not None and recipe.precision is options.precision:
        told["calibration"] = {
            "name": measured_on.name,
            "sha256": measured_on.sha256,
            "questions": len(measured_on.texts),
        }
    return told


def hash_checkpoint_files(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Return the SHA-256 of the files that are read besides the weights, by name."""
    found = (checkpoint.path / name for name in READ_FILES)
    return {path.name: sha256_file(path) for path in found if path.is_file()}
