"""Write variants and let them sit the exam; where one fails, refuse it or keep its costliest layers wider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rim_runtime.bundle import Bundle, GoldenQuestion
from rim_runtime.manifest import Variant
from rim_runtime.prompt import PromptEncoder

from rim_export.bind import ModelWeights, write_graph
from rim_export.certify import VariantCertificate, costliest
from rim_export.exam import Exam, ExamResult, Progress, golden_questions, set_exam, sit_exam
from rim_export.questions import LabelledQuestion
from rim_export.recipes import Recipe
from rim_export.trace import TracedGraph


@dataclass(frozen=True)
class Acceptance:
    """When a variant is good enough."""

    max_flips: float
    """Largest share of flips, 0..1."""
    keep_going: bool
    """Whether to try again with the costliest layers in fp32."""


@dataclass(frozen=True)
class Workshop:
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
class ProvenVariant:
    """A variant that passed."""

    variant: Variant
    """Its entry of the manifest; its files are in the bundle's folder."""
    result: ExamResult
    """How it did."""
    notes: tuple[str, ...]
    """What keeping layers wide cost, for the user to know."""


@dataclass(frozen=True)
class Proof:
    """All variants of a bundle, each of which passed."""

    variants: tuple[Variant, ...]
    """Their entries of the manifest."""
    comparisons: tuple[VariantCertificate, ...]
    """Each against the checkpoint."""
    golden: tuple[GoldenQuestion, ...]
    """Golden questions that all of them answer clearly."""
    notes: tuple[str, ...]
    """What keeping layers wide cost, for the user to know."""


def prove_variants(
    workshop: Workshop,
    encoder: PromptEncoder,
    questions: Sequence[LabelledQuestion],
    recipes: Sequence[Recipe],
    acceptance: Acceptance,
) -> Proof:
    """Write a variant by each recipe into the bundle's folder and prove it.

    Raises CertificateError where one flips too often (with `keep_going`: even with every layer wide), where an
    answer is not a number, or where golden questions are too few.
    """
    exam = set_exam(workshop.weights, encoder, questions, recipes, workshop.tell)
    proven = [_prove(workshop, exam, recipe, acceptance) for recipe in recipes]
    return Proof(
        variants=tuple(one.variant for one in proven),
        comparisons=tuple(one.result.comparison for one in proven),
        golden=golden_questions(exam, [one.result for one in proven]),
        notes=tuple(note for one in proven for note in one.notes),
    )


def _prove(workshop: Workshop, exam: Exam, recipe: Recipe, acceptance: Acceptance) -> ProvenVariant:
    variant = _write_variant(workshop, recipe, ())
    first = result = sit_exam(exam, workshop.bundle, variant, recipe, workshop.tell)
    data = workshop.bundle.path / variant.data
    narrow_bytes = data.stat().st_size
    while result.comparison.flip_share > acceptance.max_flips:
        wider = _wider(variant, exam.errors_of(recipe))
        if not acceptance.keep_going or wider == variant.wide_layers:
            result.comparison.check(acceptance.max_flips)
        variant = _write_variant(workshop, recipe, wider)
        result = sit_exam(exam, workshop.bundle, variant, recipe, workshop.tell)
    notes = _cost(variant, data.stat().st_size - narrow_bytes, result, first) if variant.wide_layers else ()
    return ProvenVariant(variant, result, notes)


def _wider(variant: Variant, errors: Sequence[float]) -> tuple[int, ...]:
    """Return twice as many layers as are wide now, the costliest ones, in their order."""
    count = max(1, 2 * len(variant.wide_layers))
    return tuple(sorted(cost.layer for cost in costliest(errors)[:count]))


def _cost(variant: Variant, more_bytes: int, result: ExamResult, first: ExamResult) -> tuple[str, ...]:
    layers = ", ".join(map(str, variant.wide_layers))
    return (
        f"The layers {layers} are kept in fp32 ({variant.name}): {more_bytes / 1e6:,.1f} MB more, and an answer "
        f"takes {result.seconds / first.seconds:.2f} times as long here.",
    )


def _write_variant(workshop: Workshop, recipe: Recipe, wide: tuple[int, ...]) -> Variant:
    """Bind a copy of the graph by the recipe, and write it over what is there."""
    weights, folder = workshop.weights, workshop.bundle.path
    traced = replace(workshop.traced, model=workshop.traced.model.clone())
    recipe.bind(traced, weights, _matrices_of(traced, wide))
    graph = f"model.{recipe.name}.onnx"
    for name in (graph, f"{graph}.data"):
        (folder / name).unlink(missing_ok=True)
    label = f"Writing {recipe.name} weights"
    write_graph(traced, folder / graph, folder / f"{graph}.data", lambda share: workshop.tell(label, share))
    return Variant(recipe.name, recipe.precision, weights.head, graph, f"{graph}.data", wide, recipe.dialect)


def _matrices_of(traced: TracedGraph, layers: Sequence[int]) -> frozenset[str]:
    starts = tuple(f"backbone.layers.{layer}." for layer in layers)
    return frozenset(name for name in traced.matrices if starts and name.startswith(starts))
