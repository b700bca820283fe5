"""Which variants an export writes, and by which recipes: what has to be measured is measured here.

An export for GPUs writes int8 for CPUs first, then the precision in 16-bit arithmetic. The arithmetic is fp16
where the activations leave it room: three bits more than bf16, and ONNX Runtime certifies the very file. Otherwise
it is bf16, which is certified in torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from rim_runtime.bundle.manifest import Compute, Precision
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.measure.calibration import (
    CalibrationSet,
    ObservedLayer,
    activation_ranges,
    observe,
    read_calibration,
)
from rim_export.measure.headroom import Headroom, headroom
from rim_export.measure.smoothing import search_smoothing, smoothed
from rim_export.progress import Progress
from rim_export.questions import CALIBRATION_SET, LabelledQuestion
from rim_export.recipes.floats import FP32
from rim_export.recipes.fp8 import fp8_recipe, round_range
from rim_export.recipes.gpu import gpu_recipe
from rim_export.recipes.int4 import int4_recipes
from rim_export.recipes.int8 import INT8
from rim_export.recipes.recipe import Recipe
from rim_export.settings import Activations, ExportOptions
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class ChosenRecipes:
    """How the variants will be written."""

    recipes: tuple[Recipe, ...]
    """One a variant, the default one first."""
    notes: tuple[str, ...] = ()
    """What was measured, for the user to know."""


@torch.no_grad()
def choose_recipes(
    weights: ModelWeights,
    encoder: PromptEncoder,
    options: ExportOptions,
    certified: Sequence[LabelledQuestion],
    tell: Progress,
) -> ChosenRecipes:
    """Return the recipes of the options' precision; measure activations where one asks for it.

    Raises QuestionFileError and CalibrationError.
    """
    if options.for_gpus and not options.calibrates:
        return ChosenRecipes(*gpu_recipes(options, iter(())))
    if options.calibrates:
        questions = read_calibration(options.calibration or CALIBRATION_SET, encoder, certified)
        layers = observe(weights, questions, lambda share: tell("Measuring activations", share))
        return _calibrated(options, questions, layers)
    if options.precision is Precision.INT4:
        recipes = int4_recipes(options.block_size)
        return ChosenRecipes(tuple(recipe for recipe in recipes if options.dialect in (None, recipe.dialect)))
    plain = {Precision.FP32: FP32, Precision.INT8: INT8, Precision.FP8: fp8_recipe({})}
    return ChosenRecipes((plain[options.precision],))


def _calibrated(
    options: ExportOptions, questions: CalibrationSet, layers: Iterator[ObservedLayer]
) -> ChosenRecipes:
    measured = f"Activations were measured on {len(questions.texts)} questions of {questions.name}."
    foreign = options.certify is not None and options.calibration is None
    hint = " They are medical: give --calibration for another field." if foreign else ""
    notes = (measured + hint, *questions.notes)
    if options.for_gpus:
        recipes, decided = gpu_recipes(options, layers)
        return ChosenRecipes(recipes, (*notes, *decided))
    if options.precision is Precision.FP8:
        return ChosenRecipes((fp8_recipe(activation_ranges(layers, options.ranges, round_range)),), notes)
    assert INT8.emulate is not None
    smoothing = search_smoothing(layers, INT8.emulate)
    strengths = ", ".join(f"{strength:g}" for strength in smoothing.strengths)
    return ChosenRecipes((smoothed(INT8, smoothing),), (*notes, f"Smoothing strengths by layer: {strengths}."))


def gpu_recipes(
    options: ExportOptions, layers: Iterator[ObservedLayer]
) -> tuple[tuple[Recipe, ...], tuple[str, ...]]:
    """Return the recipes, the CPU's first, and what was decided; bf16 looks at no layer.

    Raises HeadroomError where fp16 was asked for and its range is too small.
    """
    if options.precision is Precision.BF16:
        return (INT8, gpu_recipe(Precision.BF16, Compute.BF16, {}, options.block_size)), ()
    by_tensor = options.precision is Precision.FP8 and options.activations is Activations.TENSOR
    largest: dict[str, float] = {}
    ranges: dict[str, float] = {}
    for seen in layers:
        largest |= seen.largest
        if by_tensor:
            ranges |= {name: reach.range(options.ranges, round_range) for name, reach in seen.reaches.items()}
    room = headroom(largest)
    if options.precision is Precision.FP16:
        room.check()
    compute, why = _compute(room)
    return (INT8, gpu_recipe(options.precision, compute, ranges, options.block_size)), (why,)


def _compute(room: Headroom) -> tuple[Compute, str]:
    if room.suffices:
        return Compute.FP16, f"Computes in fp16: activations reach {room}."
    return Compute.BF16, f"Computes in bf16, which has the range of fp32: activations reach {room}."
