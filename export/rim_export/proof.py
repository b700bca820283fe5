"""Write a variant and let it sit the exam; where it fails, refuse it or keep its costliest layers wider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rim_runtime.bundle import Bundle, GoldenQuestion
from rim_runtime.manifest import Precision, Variant
from rim_runtime.prompt import PromptContract, PromptEncoder

from rim_export.bind import ModelWeights, write_graph
from rim_export.certify import VariantCertificate, costliest
from rim_export.exam import Exam, ExamResult, Progress, golden_questions, set_exam, sit_exam
from rim_export.questions import LabelledQuestion
from rim_export.recipes import RECIPES
from rim_export.trace import TracedGraph, trace


@dataclass(frozen=True)
class Acceptance:
    """What is to be proven, and when it is enough."""

    precision: Precision
    """The variant's precision."""
    max_flips: float
    """Largest share of flips, 0..1."""
    keep_going: bool
    """Whether to try again with the costliest layers in fp32."""


@dataclass(frozen=True)
class ProvenVariant:
    """A variant that passed."""

    variant: Variant
    """Its entry of the manifest; its files are in the bundle's folder."""
    comparison: VariantCertificate
    """It against the checkpoint."""
    golden: tuple[GoldenQuestion, ...]
    """Golden questions it answers clearly."""
    notes: tuple[str, ...]
    """What keeping layers wide cost, for the user to know."""


def prove_variant(
    weights: ModelWeights,
    bundle: Bundle,
    encoder: PromptEncoder,
    questions: Sequence[LabelledQuestion],
    acceptance: Acceptance,
    tell: Progress,
) -> ProvenVariant:
    """Write the variant into the bundle's folder and prove it.

    Raises CertificateError where it flips too often (with `keep_going`: even with every layer wide), where an
    answer is not a number, or where golden questions are too few.
    """
    recipe = RECIPES[acceptance.precision]
    variant = _write_variant(weights, bundle, recipe.precision, (), tell)
    exam = set_exam(weights, encoder, questions, recipe.emulate, tell)
    first = result = sit_exam(exam, bundle, variant, tell)
    narrow_bytes = (bundle.path / variant.data).stat().st_size
    while result.comparison.flip_share > acceptance.max_flips:
        wider = _wider(variant, exam)
        if not acceptance.keep_going or wider == variant.wide_layers:
            result.comparison.check(acceptance.max_flips)
        variant = _write_variant(weights, bundle, recipe.precision, wider, tell)
        result = sit_exam(exam, bundle, variant, tell)
    more_bytes = (bundle.path / variant.data).stat().st_size - narrow_bytes
    notes = _cost(variant, more_bytes, result, first) if variant.wide_layers else ()
    return ProvenVariant(variant, result.comparison, golden_questions(exam, [result]), notes)


def _wider(variant: Variant, exam: Exam) -> tuple[int, ...]:
    """Return twice as many layers as are wide now, the costliest ones, in their order."""
    count = max(1, 2 * len(variant.wide_layers))
    return tuple(sorted(cost.layer for cost in costliest(exam.layer_errors)[:count]))


def _cost(variant: Variant, more_bytes: int, result: ExamResult, first: ExamResult) -> tuple[str, ...]:
    layers = ", ".join(map(str, variant.wide_layers))
    return (
        f"The layers {layers} are kept in fp32: {more_bytes / 1e6:,.1f} MB more, and an answer takes "
        f"{result.seconds / first.seconds:.2f} times as long here.",
    )


def _write_variant(
    weights: ModelWeights, bundle: Bundle, precision: Precision, wide: tuple[int, ...], tell: Progress
) -> Variant:
    """Trace the graph, bind it by the precision's recipe, and write it over what is there."""
    tell("Tracing the graph", 0.0)
    contract: PromptContract = bundle.manifest.prompt
    traced = trace(weights.checkpoint.load_config(), contract, len(weights.letters), weights.head)
    weights.check(traced)
    RECIPES[precision].bind(traced, weights, _matrices_of(traced, wide))
    graph = f"model.{precision}.onnx"
    variant = Variant(str(precision), precision, weights.head, graph, f"{graph}.data")
    for name in (variant.graph, variant.data):
        (bundle.path / name).unlink(missing_ok=True)
    label = f"Writing {precision} weights"
    write_graph(traced, bundle.path / variant.graph, bundle.path / variant.data, lambda share: tell(label, share))
    return replace(variant, wide_layers=wide)


def _matrices_of(traced: TracedGraph, layers: Sequence[int]) -> frozenset[str]:
    starts = tuple(f"backbone.layers.{layer}." for layer in layers)
    return frozenset(name for name in traced.matrices if starts and name.startswith(starts))
