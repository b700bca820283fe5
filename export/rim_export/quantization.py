"""From options to recipes: what is measured is measured here, before any weight is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from rim_runtime.manifest import Precision
from rim_runtime.prompt import PromptEncoder

from rim_export.bind import ModelWeights
from rim_export.calibration import (
    SHIPPED,
    CalibrationSet,
    ObservedLayer,
    activation_ranges,
    observe,
    read_calibration,
)
from rim_export.exam import Progress
from rim_export.gpu_variants import gpu_recipes
from rim_export.questions import LabelledQuestion
from rim_export.recipes import FP32, INT8, Recipe, fp8_recipe, int4_recipes, round_range
from rim_export.settings import ExportOptions
from rim_export.smoothing import search_smoothing, smoothed


@dataclass(frozen=True)
class Plan:
    """How the variants will be written."""

    recipes: tuple[Recipe, ...]
    """One a variant, the default one first."""
    notes: tuple[str, ...] = ()
    """What was measured, for the user to know."""


@torch.no_grad()
def plan_recipes(
    weights: ModelWeights,
    encoder: PromptEncoder,
    options: ExportOptions,
    certified: Sequence[LabelledQuestion],
    tell: Progress,
) -> Plan:
    """Return the recipes of the options' precision; measure activations where one asks for it.

    Raises QuestionFileError and CalibrationError.
    """
    if options.for_gpus and not options.calibrates:
        return Plan(*gpu_recipes(options, iter(())))
    if options.calibrates:
        questions = read_calibration(options.calibration or SHIPPED, encoder, certified)
        layers = observe(weights, questions, lambda share: tell("Measuring activations", share))
        return _calibrated(options, questions, layers)
    if options.precision is Precision.INT4:
        recipes = int4_recipes(options.block_size)
        return Plan(tuple(recipe for recipe in recipes if options.dialect in (None, recipe.dialect)))
    plain = {Precision.FP32: FP32, Precision.INT8: INT8, Precision.FP8: fp8_recipe({})}
    return Plan((plain[options.precision],))


def _calibrated(options: ExportOptions, questions: CalibrationSet, layers: Iterator[ObservedLayer]) -> Plan:
    measured = f"Activations were measured on {len(questions.texts)} questions of {questions.name}."
    foreign = options.certify is not None and options.calibration is None
    hint = " They are medical: give --calibration for another field." if foreign else ""
    notes = (measured + hint, *questions.notes)
    if options.for_gpus:
        recipes, decided = gpu_recipes(options, layers)
        return Plan(recipes, (*notes, *decided))
    if options.precision is Precision.FP8:
        return Plan((fp8_recipe(activation_ranges(layers, options.ranges, round_range)),), notes)
    assert INT8.emulate is not None
    smoothing = search_smoothing(layers, INT8.emulate)
    strengths = ", ".join(f"{strength:g}" for strength in smoothing.strengths)
    return Plan((smoothed(INT8, smoothing),), (*notes, f"Smoothing strengths by layer: {strengths}."))
