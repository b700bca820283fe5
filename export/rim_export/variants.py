"""Choose the variants of an export and their recipes; activations are measured if a recipe needs it.

An export for GPUs writes int8 for CPUs first, then the precision in 16-bit arithmetic. The arithmetic is fp16 if
the activations fit its range: it has three bits more than bf16, and ONNX Runtime can run the file itself for the
certificate. Otherwise it is bf16, which is evaluated in torch. int8 and fp8 are written from rotated weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from rim_runtime.bundle.manifest import Compute, Precision

from rim_export.measure.calibration import ObservedLayer, activation_ranges, observe
from rim_export.measure.compensation import compensated_blocks
from rim_export.measure.headroom import Headroom, headroom
from rim_export.measure.smoothing import search_smoothing, smoothed
from rim_export.progress import Progress
from rim_export.question_sets import CalibrationSet
from rim_export.recipes.blocks import BlockFormat, Blocks, ZeroPoints
from rim_export.recipes.fp8 import round_range
from rim_export.recipes.int8 import INT8
from rim_export.recipes.precisions import RECIPES, Measured, gpu_recipe
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.rotated import ROTATED, rotated
from rim_export.settings import Activations, ExportOptions
from rim_export.weights.model_weights import ModelWeights
from rim_export.weights.rotatable import rotation_of
from rim_export.weights.rotation import Rotation


@dataclass(frozen=True)
class ChosenRecipes:
    """The recipes of an export's variants."""

    recipes: tuple[Recipe, ...]
    """One per variant, the default one first."""
    notes: tuple[str, ...] = ()
    """What was measured, for the user to know."""


@torch.no_grad()
def choose_recipes(
    weights: ModelWeights, options: ExportOptions, questions: CalibrationSet | None, tell: Progress
) -> ChosenRecipes:
    """Return the recipes of the options' precision; measure activations on the questions, if there are any.

    Raises CalibrationError if an activation is not finite.
    """
    rotates = options.for_gpus or options.precision in ROTATED
    rotation = rotation_of(weights) if rotates else None
    chosen = _choose(weights, options, questions, rotation, tell)
    return replace(chosen, recipes=tuple(rotated(recipe, rotation) for recipe in chosen.recipes))


def _choose(
    weights: ModelWeights,
    options: ExportOptions,
    questions: CalibrationSet | None,
    rotation: Rotation | None,
    tell: Progress,
) -> ChosenRecipes:
    if questions is None:
        return _plain(options)
    notes = _calibration_notes(options, questions)
    compensated = _compensated(weights, options, questions, tell)
    if options.precision is Precision.INT4 and not options.for_gpus:
        return ChosenRecipes(_int4(options, compensated), notes)
    turned = rotation if options.precision is Precision.FP8 else None
    layers = observe(weights, questions, lambda share: tell("Measuring activations", share), turned)
    chosen = _for_gpus(options, layers, compensated) if options.for_gpus else _for_cpus(options, layers, rotation)
    return ChosenRecipes(chosen.recipes, (*notes, *chosen.notes))


def _plain(options: ExportOptions) -> ChosenRecipes:
    """Return the recipes of a precision for which nothing is measured."""
    if options.for_gpus:
        return ChosenRecipes((INT8, gpu_recipe(options.precision, Compute.BF16, Measured())))
    return ChosenRecipes(RECIPES[options.precision](Measured()))


def _compensated(
    weights: ModelWeights, options: ExportOptions, questions: CalibrationSet, tell: Progress
) -> Mapping[str, Blocks]:
    """Return int4's matrices with their errors compensated; none for other precisions."""
    if options.precision is not Precision.INT4:
        return {}
    zero_points = ZeroPoints.MIDDLE if options.for_gpus else ZeroPoints.OWN
    form = BlockFormat(options.block_size, zero_points)
    return compensated_blocks(weights, questions, form, lambda share: tell("Compensating int4's errors", share))


def _int4(options: ExportOptions, compensated: Mapping[str, Blocks]) -> tuple[Recipe, ...]:
    recipes = RECIPES[Precision.INT4](Measured(block_size=options.block_size, compensated=compensated))
    return tuple(recipe for recipe in recipes if options.dialect in (None, recipe.dialect))


def _for_cpus(options: ExportOptions, layers: Iterator[ObservedLayer], rotation: Rotation | None) -> ChosenRecipes:
    """Return the recipe for fp8 at calibrated scales, or for int8 on smoothed weights."""
    if options.precision is Precision.FP8:
        ranges = activation_ranges(layers, options.ranges, round_range)
        return ChosenRecipes(RECIPES[Precision.FP8](Measured(ranges)))
    smoothing = search_smoothing(layers, rotated(INT8, rotation))
    recipe = smoothed(rotated(INT8, rotation), smoothing)
    return ChosenRecipes((recipe,), (_smoothing_note(smoothing.strengths),))


def _for_gpus(
    options: ExportOptions, layers: Iterator[ObservedLayer], compensated: Mapping[str, Blocks]
) -> ChosenRecipes:
    """Return the recipes, the CPU's first, and which arithmetic was chosen.

    Raises HeadroomError if fp16 was requested and its range is too small.
    """
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
    measured = Measured(ranges, options.block_size, compensated=compensated)
    return ChosenRecipes((INT8, gpu_recipe(options.precision, compute, measured)), (why,))


def _calibration_notes(options: ExportOptions, questions: CalibrationSet) -> tuple[str, ...]:
    measured = f"Activations were measured on {len(questions.texts)} questions of {questions.name}."
    foreign = options.certify is not None and options.calibration is None
    hint = " They are medical: give --calibration for another field." if foreign else ""
    return (measured + hint, *questions.notes)


def _smoothing_note(strengths: Sequence[float]) -> str:
    if not any(strengths):
        return "Smoothing was not used: in every layer, int8 without it errs least."
    listed = ", ".join(f"{strength:g}" for strength in strengths)
    return f"Smoothing strengths by layer: {listed} (0: int8 without it errs least)."


def _compute(room: Headroom) -> tuple[Compute, str]:
    if room.suffices:
        return Compute.FP16, f"Computes in fp16: activations reach {room}."
    return Compute.BF16, f"Computes in bf16, which has the range of fp32: activations reach {room}."
