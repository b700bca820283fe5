"""Choose the variants of an export and their recipes; activations are measured if a recipe needs it.

An export for GPUs writes int8 for CPUs first, then the precision in 16-bit arithmetic. The arithmetic is fp16 if
the activations fit its range: it has three bits more than bf16, and ONNX Runtime can run the file itself for the
certificate. Otherwise it is bf16, which is evaluated in torch. int8 and fp8 are written from rotated weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from rim_runtime.bundle.manifest import Compute, Precision

from rim_export.graph.skeleton import short_name
from rim_export.measure.activation_scales import activation_scales
from rim_export.measure.calibration import ObservedLayer, observe
from rim_export.measure.compensation import MOST_TOKENS, compensated_blocks, compensated_rows
from rim_export.measure.headroom import Headroom, headroom
from rim_export.measure.smoothing import search_smoothing, smoothed
from rim_export.progress import Progress
from rim_export.question_sets import CalibrationSet
from rim_export.recipes.blocks import BlockFormat, Blocks, ZeroPoints
from rim_export.recipes.int8 import INT8, int8_recipe
from rim_export.recipes.matrices import FP8_ROWS, INT8_ROWS, QuantizedRows
from rim_export.recipes.precisions import RECIPES, Measured, gpu_recipe
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.rotated import ROTATED, rotated
from rim_export.settings import ExportOptions, Rounding
from rim_export.weights.model_weights import ModelWeights, Smoothing
from rim_export.weights.rotatable import rotation_of
from rim_export.weights.rotation import Rotation

_COMPENSATING = "Rounding weights so that products change least"
_ROWS = {Precision.INT8: INT8_ROWS, Precision.FP8: FP8_ROWS}
"""The narrow types of precisions whose weights have a scale an output channel."""
RowsOf = Mapping[Precision, Mapping[str, QuantizedRows]]
"""Compensated matrices by precision and name."""


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

    Raises CalibrationError if an activation is not finite, HeadroomError if fp16 was requested and its range is
    too small.
    """
    rotates = options.for_gpus or options.precision in ROTATED
    asked = _Calibration(weights, rotation_of(weights) if rotates else None, options, questions, tell)
    chosen = _for_gpus(asked) if options.for_gpus else _for_cpus(asked)
    recipes = tuple(rotated(recipe, asked.rotation) for recipe in chosen.recipes)
    return ChosenRecipes(recipes, (*_calibration_notes(options, questions), *chosen.notes))


@dataclass(frozen=True)
class _Calibration:
    """What recipes can be made from."""

    weights: ModelWeights
    rotation: Rotation | None
    options: ExportOptions
    questions: CalibrationSet | None
    tell: Progress

    def layers(self, rotation: Rotation | None) -> Iterator[ObservedLayer]:
        """Yield each layer with its activations, as the model has them after this rotation."""
        assert self.questions is not None
        return observe(self.weights, self.questions, partial(self.tell, "Measuring activations"), rotation)

    def scales(self, seen: ObservedLayer) -> Mapping[str, float | None]:
        """Return fp8's ranges of a layer's activations; None: by row."""
        return activation_scales(seen, self.options.ranges, self.rotation)

    def blocks(self) -> Mapping[str, Blocks]:
        """Return int4's matrices with their errors compensated; none if they are rounded to the nearest."""
        if not self._compensates or self.options.precision is not Precision.INT4:
            return {}
        assert self.questions is not None
        zero_points = ZeroPoints.MIDDLE if self.options.for_gpus else ZeroPoints.OWN
        form = BlockFormat(self.options.block_size, zero_points)
        return compensated_blocks(self.weights, self.questions, form, partial(self.tell, _COMPENSATING))

    def rows(self, *precisions: Precision, smoothing: Smoothing | None = None) -> RowsOf:
        """Return the matrices in int8 and fp8 with their errors compensated, or none, as `blocks` does."""
        kinds = {_ROWS[precision]: precision for precision in precisions if precision in _ROWS}
        if not self._compensates or not kinds:
            return {}
        assert self.questions is not None
        written = replace(self.weights, rotation=self.rotation, smoothing=smoothing or Smoothing())
        found = compensated_rows(written, self.questions, tuple(kinds), partial(self.tell, _COMPENSATING))
        return {kinds[kind]: rows for kind, rows in found.items()}

    @property
    def _compensates(self) -> bool:
        return self.questions is not None and self.options.rounding is Rounding.GPTQ


def _for_cpus(asked: _Calibration) -> ChosenRecipes:
    """Return the recipes of a precision for CPUs."""
    options, precision = asked.options, asked.options.precision
    if options.smooth:
        return _smoothed_int8(asked)
    ranges = _fp8_ranges(asked)
    measured = Measured(ranges, options.block_size, blocks=asked.blocks(), rows=asked.rows(precision))
    found = RECIPES[precision](measured)
    written = tuple(recipe for recipe in found if options.dialect in (None, recipe.dialect))
    return ChosenRecipes(written, _scales_notes(ranges))


def _fp8_ranges(asked: _Calibration) -> Mapping[str, float | None]:
    """Return fp8's ranges of activations at constant scales; None: by row, and without any, all of them."""
    if not asked.options.by_tensor:
        return {}
    layers = (asked.scales(seen) for seen in asked.layers(asked.rotation))
    return {name: reach for ranges in layers for name, reach in ranges.items()}


def _smoothed_int8(asked: _Calibration) -> ChosenRecipes:
    smoothing = search_smoothing(asked.layers(None), rotated(INT8, asked.rotation))
    rows = asked.rows(Precision.INT8, smoothing=smoothing)
    recipe = rotated(int8_recipe(rows.get(Precision.INT8, {})), asked.rotation)
    return ChosenRecipes((smoothed(recipe, smoothing),), (_smoothing_note(smoothing.strengths),))


def _for_gpus(asked: _Calibration) -> ChosenRecipes:
    """Return the recipes, the CPU's first, and which arithmetic was chosen."""
    options, precision = asked.options, asked.options.precision
    seen = _measure_for_gpus(asked) if options.needs_headroom else _Arithmetic(Compute.BF16)
    rows = asked.rows(Precision.INT8, precision)
    measured = Measured(seen.ranges, options.block_size, blocks=asked.blocks(), rows=rows)
    for_cpus = int8_recipe(rows.get(Precision.INT8, {}))
    return ChosenRecipes((for_cpus, gpu_recipe(precision, seen.compute, measured)), seen.notes)


@dataclass(frozen=True)
class _Arithmetic:
    """What a GPU computes in."""

    compute: Compute
    ranges: Mapping[str, float | None] = field(default_factory=dict)
    """fp8: of activations at constant scales; None: by row."""
    notes: tuple[str, ...] = ()
    """Why it was chosen."""


def _measure_for_gpus(asked: _Calibration) -> _Arithmetic:
    """Measure activations. Raises HeadroomError if fp16 was requested and its range is too small."""
    options = asked.options
    largest: dict[str, float] = {}
    ranges: dict[str, float | None] = {}
    for seen in asked.layers(asked.rotation if options.precision in ROTATED else None):
        largest |= seen.largest
        if options.by_tensor:
            ranges |= asked.scales(seen)
    room = headroom(largest)
    if options.precision is Precision.FP16:
        room.check()
    compute, why = _compute(room)
    return _Arithmetic(compute, ranges, (why, *_scales_notes(ranges)))


def _calibration_notes(options: ExportOptions, questions: CalibrationSet | None) -> tuple[str, ...]:
    if questions is None:
        return ()
    alone = options.precision is Precision.INT8 and not (options.for_gpus or options.smooth)
    share = f"the first {MOST_TOKENS:,} tokens" if alone else f"{len(questions.texts)} questions"
    measured = f"Activations were measured on {share} of {questions.name}."
    foreign = options.certify is not None and options.calibration is None
    hint = " They are medical: give --calibration for another field." if foreign else ""
    return (measured + hint, *questions.notes)


def _scales_notes(ranges: Mapping[str, float | None]) -> tuple[str, ...]:
    """Return which of fp8's products are by row, if constant scales were measured."""
    by_row = [short_name(name) for name, reach in ranges.items() if reach is None]
    if not ranges:
        return ()
    if not by_row:
        return (f"The activations of all {len(ranges)} products have constant scales, which err no more.",)
    return (
        f"In {len(by_row)} of {len(ranges)} products each token has its own scale, as a constant one errs more: "
        f"{', '.join(by_row)}.",
    )


def _smoothing_note(strengths: Sequence[float]) -> str:
    if not any(strengths):
        return "Smoothing was not used: in every layer, int8 without it errs least."
    listed = ", ".join(f"{strength:g}" for strength in strengths)
    return f"Smoothing strengths by layer: {listed} (0: int8 without it errs least)."


def _compute(room: Headroom) -> tuple[Compute, str]:
    if room.suffices:
        return Compute.FP16, f"Computes in fp16: activations reach {room}."
    return Compute.BF16, f"Computes in bf16, which has the range of fp32: activations reach {room}."
