"""What a certificate says of how a variant came about: its recipe with every option."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

from rim_runtime.bundle.manifest import Precision

from rim_export.measure.compensation import MOST_TOKENS
from rim_export.question_sets import CalibrationSet
from rim_export.recipes.recipe import Recipe
from rim_export.settings import ROUNDED, Activations, ExportOptions, Rounding
from rim_export.weights.rotation import Basis, Rotation


def describe_recipe(
    recipe: Recipe, options: ExportOptions, measured_on: CalibrationSet | None
) -> Mapping[str, Any]:
    """Return every option that made a variant, as JSON: the recipe's own values, and those it was made from.

    Functions and tensors are left out: they follow from these options, the checkpoint and the release.
    """
    told = _values(recipe)
    for field in ("precision", "finer", "by_row"):  # the certificate's entry says what of it was used
        told.pop(field, None)
    told["table"] = recipe.table.name
    if recipe.rotation is not None:
        told["rotation"] = _turned(recipe.rotation)
    if recipe.precision is Precision.INT4:
        told["block_size"] = int(options.block_size)
    if recipe.precision is Precision.FP8:
        told["activations"] = options.activations.value
        if options.activations is Activations.TENSOR:
            told |= {"ranges": options.ranges.value, "by_row": list(recipe.by_row)}
    compensated = measured_on is not None and options.rounding is Rounding.GPTQ and recipe.precision in ROUNDED
    if recipe.precision in ROUNDED:
        told["rounding"] = str(Rounding.GPTQ if compensated else Rounding.NEAREST)
    if compensated and recipe.precision is not Precision.INT4:
        told["rounding_tokens"] = MOST_TOKENS  # of the first questions; int4 takes all of them
    if measured_on is not None and (compensated or recipe.precision is options.precision):
        told["calibration"] = {
            "name": measured_on.name,
            "sha256": measured_on.sha256,
            "questions": len(measured_on.texts),
            "answers": measured_on.answers,
        }
    return told


def _turned(rotation: Rotation) -> Mapping[str, str]:
    """Return what a rotation turns, and where."""
    folded = "folded into the weights"
    turns = {
        Basis.STREAM: ("residual stream", folded),
        Basis.HEADS: ("values", f"{folded}, by heads of {rotation.head_size} channels"),
        Basis.BLOCKS: ("input of down_proj", f"turned in the graph, in blocks of {rotation.block} channels"),
    }
    used = {turn.inputs for turn in rotation.turns.values()}
    return dict(told for basis, told in turns.items() if basis in used)


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
