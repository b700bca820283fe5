"""Write variants and let them sit the exam; where one fails, refuse it or keep its costliest layers wider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rim_runtime.bundle.folder import Bundle, GoldenQuestion
from rim_runtime.bundle.manifest import Compute, Variant
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.certification.certificate import VariantCertificate
from rim_export.certification.comparison import costliest
from rim_export.certification.evaluation import (
    Evaluation,
    VariantEvaluation,
    clear_candidates,
    evaluate_variant,
    golden_questions,
    prepare_evaluation,
)
from rim_export.certification.golden import CLEAR_MARGIN, LEAST
from rim_export.graph.trace import TracedGraph
from rim_export.progress import Progress
from rim_export.questions import LabelledQuestion
from rim_export.recipes.recipe import Recipe
from rim_export.tensorrt.lint import require_legal
from rim_export.weights.files import write_graph
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class Tolerance:
    """When a variant is good enough."""

    max_flips: float
    """Largest share of flips, 0..1."""
    keep_going: bool
    """Whether to try again with the costliest layers in fp32, for flips and for golden questions alike."""

    @property
    def clear_margin(self) -> float:
        """Margin of a golden question in mean logit errors; 0 where every letter may change.

        That is allowed for checkpoints with random weights, which are clear about nothing.
        """
        return 0.0 if self.max_flips == 1.0 else CLEAR_MARGIN


@dataclass(frozen=True)
class VariantWriter:
    """What variants are made of, and where they are put."""

    traced: TracedGraph
    """The graph without weights; every variant is made from a copy."""
    weights: ModelWeights
    """The checkpoint's tensors."""
    bundle: Bundle
    """The folder they are written to, and the manifest so far."""
    tell: Progress
    """Hears what is being done."""


@dataclass(frozen=True)
class Attempt:
    """A variant as it was written once, and how it did."""

    recipe: Recipe
    """What it was written by."""
    variant: Variant
    """Its entry of the manifest; the last attempt's files are in the bundle's folder."""
    result: VariantEvaluation
    """How it did."""
    data_bytes: int
    """Size of its weights."""


Attempts = tuple[Attempt, ...]
"""One recipe's: with all layers narrow, then with more and more of them in fp32. The last one counts."""


@dataclass(frozen=True)
class ProvenVariants:
    """All variants of a bundle, each of which passed."""

    variants: tuple[Variant, ...]
    """Their entries of the manifest."""
    comparisons: tuple[VariantCertificate, ...]
    """Each against the checkpoint."""
    golden: tuple[GoldenQuestion, ...]
    """Golden questions that all of them answer clearly."""
    notes: tuple[str, ...]
    """Which layers were kept wide, why, and what that cost, for the user to know."""


def prove_variants(
    writer: VariantWriter,
    encoder: PromptEncoder,
    questions: Sequence[LabelledQuestion],
    recipes: Sequence[Recipe],
    tolerance: Tolerance,
) -> ProvenVariants:
    """Write a variant by each recipe into the bundle's folder and prove it.

    Raises CertificateError where one flips too often or leaves too few golden questions (with `keep_going`: even
    with every layer wide), and where an answer is not a number.
    """
    evaluation = prepare_evaluation(writer.weights, encoder, questions, recipes, writer.tell)
    passed = []
    for recipe in recipes:
        first = (_attempt(writer, evaluation, recipe, ()),)
        passed.append(_until_it_passes(writer, evaluation, first, tolerance))
    proven = _until_golden_questions_are_left(writer, evaluation, passed, tolerance)
    last = [attempts[-1] for attempts in proven]
    return ProvenVariants(
        variants=tuple(one.variant for one in last),
        comparisons=tuple(one.result.comparison for one in last),
        golden=golden_questions(
            evaluation, {one.variant.name: one.result for one in last}, tolerance.clear_margin
        ),
        notes=(
            *_reason(evaluation, passed, proven, tolerance),
            *(note for attempts in proven for note in _cost(attempts)),
        ),
    )


def _until_it_passes(
    writer: VariantWriter, evaluation: Evaluation, attempts: Attempts, tolerance: Tolerance
) -> Attempts:
    """Widen a variant until it flips seldom enough. Raises CertificateError where that may not be, or not help."""
    while attempts[-1].result.comparison.flip_share > tolerance.max_flips:
        if not tolerance.keep_going or not _can_widen(evaluation, attempts):
            attempts[-1].result.comparison.check(tolerance.max_flips)
        attempts = _widened(writer, evaluation, attempts)
    return attempts


def _until_golden_questions_are_left(
    writer: VariantWriter, evaluation: Evaluation, variants: Sequence[Attempts], tolerance: Tolerance
) -> list[Attempts]:
    """Widen whatever answers the fewest candidates clearly, until enough are left or none can be widened."""
    proven = list(variants)
    while tolerance.keep_going and _candidates_left(evaluation, proven, tolerance) < LEAST:
        able = [number for number, attempts in enumerate(proven) if _can_widen(evaluation, attempts)]
        if not able:
            break
        worst = min(able, key=lambda number: _clear(evaluation, proven[number], tolerance).sum())
        widened = _widened(writer, evaluation, proven[worst])
        proven[worst] = _until_it_passes(writer, evaluation, widened, tolerance)
    return proven


def _candidates_left(evaluation: Evaluation, variants: Sequence[Attempts], tolerance: Tolerance) -> int:
    """Return how many candidates for golden questions all variants answer clearly."""
    clear = [_clear(evaluation, attempts, tolerance) for attempts in variants]
    return int(np.logical_and.reduce(clear).sum())


def _clear(evaluation: Evaluation, attempts: Attempts, tolerance: Tolerance) -> NDArray[np.bool_]:
    return clear_candidates(evaluation, attempts[-1].result, tolerance.clear_margin)


def _attempt(writer: VariantWriter, evaluation: Evaluation, recipe: Recipe, wide: tuple[int, ...]) -> Attempt:
    variant = _write_variant(writer, recipe, wide)
    result = evaluate_variant(evaluation, writer.bundle, variant, recipe, writer.tell)
    return Attempt(recipe, variant, result, (writer.bundle.path / variant.data).stat().st_size)


def _can_widen(evaluation: Evaluation, attempts: Attempts) -> bool:
    return len(attempts[-1].variant.wide_layers) < len(evaluation.errors_of(attempts[-1].recipe))


def _widened(writer: VariantWriter, evaluation: Evaluation, attempts: Attempts) -> Attempts:
    """Attempt it again with twice as many layers wide, the costliest ones, in their order."""
    last = attempts[-1]
    count = max(1, 2 * len(last.variant.wide_layers))
    worst = costliest(evaluation.errors_of(last.recipe))[:count]
    wide = tuple(sorted(cost.layer for cost in worst))
    return (*attempts, _attempt(writer, evaluation, last.recipe, wide))


def _reason(
    evaluation: Evaluation, passed: Sequence[Attempts], proven: Sequence[Attempts], tolerance: Tolerance
) -> tuple[str, ...]:
    """Say it where layers were widened for the golden questions' sake."""
    widened = [
        ours[-1].variant.name for ours, before in zip(proven, passed, strict=True) if len(ours) > len(before)
    ]
    if not widened:
        return ()
    left = _candidates_left(evaluation, passed, tolerance)
    return (
        f"Only {left} of {evaluation.pool} candidates for golden questions were answered with a clear margin, "
        f"expected at least {LEAST}: more layers were kept wide in {', '.join(widened)}.",
    )


def _cost(attempts: Attempts) -> tuple[str, ...]:
    first, last = attempts[0], attempts[-1]
    if not last.variant.wide_layers:
        return ()
    layers = ", ".join(map(str, last.variant.wide_layers))
    more_bytes, longer = last.data_bytes - first.data_bytes, last.result.seconds / first.result.seconds
    return (
        f"The layers {layers} are kept in {last.variant.compute} ({last.variant.name}): "
        f"{more_bytes / 1e6:,.1f} MB more, and an answer takes {longer:.2f} times as long here.",
    )


def _write_variant(writer: VariantWriter, recipe: Recipe, wide: tuple[int, ...]) -> Variant:
    """Bind a copy of the graph by the recipe, and write it over what is there."""
    weights, folder = writer.weights, writer.bundle.path
    traced = replace(writer.traced, model=writer.traced.model.clone())
    recipe.bind(traced, weights, _matrices_of(traced, wide))
    if recipe.compute is not Compute.FP32:
        require_legal(traced.model, recipe.name)
    graph = f"model.{recipe.name}.onnx"
    for name in (graph, f"{graph}.data"):
        (folder / name).unlink(missing_ok=True)
    label = f"Writing {recipe.name} weights"
    write_graph(traced, folder / graph, folder / f"{graph}.data", lambda share: writer.tell(label, share))
    return Variant(
        recipe.name,
        recipe.precision,
        weights.head,
        graph,
        f"{graph}.data",
        wide_layers=wide,
        dialect=recipe.dialect,
        compute=recipe.compute,
    )


def _matrices_of(traced: TracedGraph, layers: Sequence[int]) -> frozenset[str]:
    starts = tuple(f"backbone.layers.{layer}." for layer in layers)
    return frozenset(name for name in traced.matrices if starts and name.startswith(starts))
