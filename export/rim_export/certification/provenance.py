"""What a certificate says of how a variant came about: its recipe with every option."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

from rim_runtime.bundle.manifest import Precision

from rim_export.question_sets import CalibrationSet
from rim_export.recipes.recipe import Recipe
from rim_export.settings import Activations, ExportOptions


def describe_recipe(
    recipe: Recipe, options: ExportOptions, measured_on: CalibrationSet | None
) -> Mapping[str, Any]:
    """Return every option that made a variant, as JSON: the recipe's own values, and those it was made from.

    Functions and tensors are left out: they follow from these options, the checkpoint and the release.
    """
    told = _values(recipe)
    del told["precision"]  # the certificate's entry says it
    if recipe.precision is Precision.INT4:
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


def _values(described: Any) -> dict[str, Any]:
    """Return a dataclass's plain values, and those of the dataclasses in it, by the fields' names."""
    told: dict[str, Any] = {}
    for field in dataclasses.fields(described):
        value = getattr(described, field.name)
        if isinstance(value, Enum):
            told[field.name] = value.value
        elif isinstance(value, bool | int | float | str):
            told[field.name] = value
        elif isinstance(value, tuple) and all(isinstance(one, bool | int | float | str) for one in value):
            told[field.name] = list(value)
        elif dataclasses.is_dataclass(value):
            told[field.name] = _values(value)
    return told
