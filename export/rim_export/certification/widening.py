"""Write variants and certify them; if one fails, refuse it or keep its costliest layers wider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rim_runtime.bundle.folder import GoldenQuestion
from rim_runtime.bundle.manifest import Variant
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.certification.attempts import Attempt, Attempts, Tolerance
from rim_export.certification.certificate import VariantCertificate
from rim_export.certification.comparison import costliest
from rim_export.certification.evaluation import (
    Evaluation,
    clear_candidates,
    evaluate_variant,
    golden_questions,
    prepare_evaluation,
)
from rim_export.certification.golden import LEAST
from rim_export.certification.refusal import too_few_golden, too_many_flips
from rim_export.certification.trials import Trial, trials_of
from rim_export.errors import CertificateError, VariantRefusedError
from rim_export.question_parts import QuestionParts
from rim_export.recipes.recipe import Recipe
from rim_export.variant_writer import VariantWriter


@dataclass(frozen=True)
class ProvenVariants:
    """All variants of a bundle, each of which passed."""

    variants: tuple[Variant, ...]
    """Their manifest entries."""
    comparisons: tuple[VariantCertificate, ...]
    """Each variant's comparison with the checkpoint."""
    golden: tuple[GoldenQuestion, ...]
    """Golden questions that all of them answer with a clear margin."""
    notes: tuple[str, ...]
    """Which layers were kept wide, why, and what that cost, for the user to know."""
    trials: tuple[Trial, ...]
    """Every attempt, those that failed as well."""


def prove_variants(
    writer: VariantWriter,
    encoder: PromptEncoder,
    questions: QuestionParts,
    recipes: Sequence[Recipe],
    tolerance: Tolerance,
) -> ProvenVariants:
    """Write a variant by each recipe into the bundle's folder, and certify it.

    With `keep_going`, what is kept wide is chosen on the pool: the certificate's questions are asked once, of what
    was chosen. Raises VariantRefusedError if a variant flips too often or leaves too few golden questions, and
    CertificateError if logits are not finite.
    """
    evaluation = prepare_evaluation(writer.weights, encoder, questions, recipes, writer.tell)
    if tolerance.keep_going:
        proven, why = _choose_and_certify(writer, evaluation, recipes, tolerance)
    else:
        proven, why = _certify_each(writer, evaluation, recipes, tolerance), ()
    golden = _golden(evaluation, proven, recipes, tolerance)
    last = [attempts[-1] for attempts in proven]
    return ProvenVariants(
        variants=tuple(one.variant for one in last),
        comparisons=tuple(one.certified.comparison for one in last if one.certified),
        golden=golden,
        notes=(*why, *(note for attempts in proven for note in _cost(attempts))),
        trials=trials_of(evaluation, proven),
    )


def _certify_each(
    writer: VariantWriter, evaluation: Evaluation, recipes: Sequence[Recipe], tolerance: Tolerance
) -> list[Attempts]:
    """Write and certify one variant after the other; the first that fails is refused."""
    proven: list[Attempts] = []
    for recipe in recipes:
        attempts = (_attempt(writer, evaluation, recipe, ()),)
        proven.append(_certified(writer, evaluation, attempts))
        _require_certified(evaluation, proven, recipes, tolerance)
    return proven


def _choose_and_certify(
    writer: VariantWriter, evaluation: Evaluation, recipes: Sequence[Recipe], tolerance: Tolerance
) -> tuple[list[Attempts], tuple[str, ...]]:
    """Widen each variant until it passes on the pool and leaves golden questions, then certify all of them."""
    passed: list[Attempts] = []
    for recipe in recipes:
        first = (_attempt(writer, evaluation, recipe, ()),)
        passed.append(_until_it_passes(writer, evaluation, first, tolerance))
        _require_chosen(evaluation, passed, recipes, tolerance)
    chosen = _until_golden_questions_are_left(writer, evaluation, passed, tolerance)
    _require_chosen(evaluation, chosen, recipes, tolerance)
    proven = [_certified(writer, evaluation, attempts) for attempts in chosen]
    _require_certified(evaluation, proven, recipes, tolerance)
    return proven, _reason(evaluation, passed, chosen, tolerance)


def _until_it_passes(
    writer: VariantWriter, evaluation: Evaluation, attempts: Attempts, tolerance: Tolerance
) -> Attempts:
    """Widen a variant until it flips rarely enough on the pool, or until it cannot be widened further."""
    while not _passes_on_pool(attempts, tolerance) and _can_widen(evaluation, attempts):
        attempts = _widened(writer, evaluation, attempts)
    return attempts


def _passes_on_pool(attempts: Attempts, tolerance: Tolerance) -> bool:
    return tolerance.allows_to_choose(attempts[-1].result.comparison)


def _require_chosen(
    evaluation: Evaluation, variants: Sequence[Attempts], recipes: Sequence[Recipe], tolerance: Tolerance
) -> None:
    """Raise VariantRefusedError if a variant that cannot be widened further still flips too often."""
    for attempts in variants:
        if not _passes_on_pool(attempts, tolerance):
            why = too_many_flips(attempts, tolerance, recipes)
            raise VariantRefusedError(why, trials_of(evaluation, variants))


def _require_certified(
    evaluation: Evaluation, variants: Sequence[Attempts], recipes: Sequence[Recipe], tolerance: Tolerance
) -> None:
    """Raise VariantRefusedError if a variant flips too often on the certificate's questions."""
    for attempts in variants:
        certified = attempts[-1].certified
        assert certified is not None
        if not tolerance.allows(certified.comparison):
            why = too_many_flips(attempts, tolerance, recipes)
            raise VariantRefusedError(why, trials_of(evaluation, variants))


def _golden(
    evaluation: Evaluation, variants: Sequence[Attempts], recipes: Sequence[Recipe], tolerance: Tolerance
) -> tuple[GoldenQuestion, ...]:
    """Choose the golden questions. Raises VariantRefusedError if too few are left."""
    last = {attempts[-1].variant.name: attempts[-1].result for attempts in variants}
    try:
        return golden_questions(evaluation, last, tolerance.clear_margin)
    except CertificateError as error:
        worst = min(variants, key=lambda attempts: _clear(evaluation, attempts, tolerance).sum())
        why = too_few_golden(str(error), worst, tolerance, recipes)
        raise VariantRefusedError(why, trials_of(evaluation, variants)) from None


def _until_golden_questions_are_left(
    writer: VariantWriter, evaluation: Evaluation, variants: Sequence[Attempts], tolerance: Tolerance
) -> list[Attempts]:
    """Widen the variant with the fewest clear candidates, until enough are left or none can be widened."""
    proven = list(variants)
    while _candidates_left(evaluation, proven, tolerance) < LEAST:
        able = [number for number, attempts in enumerate(proven) if _can_widen(evaluation, attempts)]
        if not able:
            break
        worst = min(able, key=lambda number: _clear(evaluation, proven[number], tolerance).sum())
        widened = _widened(writer, evaluation, proven[worst])
        proven[worst] = _until_it_passes(writer, evaluation, widened, tolerance)
    return proven


def _candidates_left(evaluation: Evaluation, variants: Sequence[Attempts], tolerance: Tolerance) -> int:
    """Return how many golden candidates all variants answer with a clear margin."""
    clear = [_clear(evaluation, attempts, tolerance) for attempts in variants]
    return int(np.logical_and.reduce(clear).sum())


def _clear(evaluation: Evaluation, attempts: Attempts, tolerance: Tolerance) -> NDArray[np.bool_]:
    return clear_candidates(evaluation, attempts[-1].result, tolerance.clear_margin)


def _attempt(writer: VariantWriter, evaluation: Evaluation, recipe: Recipe, wide: tuple[int, ...]) -> Attempt:
    """Write a variant and ask it the pool."""
    variant = writer.write(recipe, wide)
    result = evaluate_variant(evaluation, evaluation.pool, writer.bundle, variant, recipe, writer.tell)
    return Attempt(recipe, variant, result, (writer.bundle.path / variant.data).stat().st_size)


def _certified(writer: VariantWriter, evaluation: Evaluation, attempts: Attempts) -> Attempts:
    """Ask the last attempt the certificate's questions."""
    last, asked = attempts[-1], evaluation.certified
    result = evaluate_variant(evaluation, asked, writer.bundle, last.variant, last.recipe, writer.tell)
    return (*attempts[:-1], replace(last, certified=result))


def _can_widen(evaluation: Evaluation, attempts: Attempts) -> bool:
    if not attempts[-1].recipe.widens:
        return False
    return len(attempts[-1].variant.wide_layers) < len(evaluation.errors_of(attempts[-1].recipe))


def _widened(writer: VariantWriter, evaluation: Evaluation, attempts: Attempts) -> Attempts:
    """Attempt it again with twice as many layers wide, the costliest ones, sorted by number."""
    last = attempts[-1]
    count = max(1, 2 * len(last.variant.wide_layers))
    worst = costliest(evaluation.errors_of(last.recipe))[:count]
    wide = tuple(sorted(cost.layer for cost in worst))
    return (*attempts, _attempt(writer, evaluation, last.recipe, wide))


def _reason(
    evaluation: Evaluation, passed: Sequence[Attempts], proven: Sequence[Attempts], tolerance: Tolerance
) -> tuple[str, ...]:
    """Return how the choice was made, and whether layers were widened for the golden questions."""
    count = len(evaluation.pool.questions)
    choice = f"What is kept wide was chosen on {count} questions; the certificate's were asked once, afterwards."
    widened = [
        ours[-1].variant.name for ours, before in zip(proven, passed, strict=True) if len(ours) > len(before)
    ]
    if not widened:
        return (choice,) if any(len(attempts) > 1 for attempts in proven) else ()
    left = _candidates_left(evaluation, passed, tolerance)
    return (
        choice,
        f"Only {left} of {evaluation.candidates} candidates for golden questions were answered with a clear "
        f"margin, expected at least {LEAST}: more layers were kept wide in {', '.join(widened)}.",
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
