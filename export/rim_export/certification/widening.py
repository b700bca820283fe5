"""Write variants and certify them; if one fails, refuse it or keep wider what errs most in it.

After 1, 2, 4, 8, … steps (steps.py) it is tried again, so that few attempts suffice, however many there must be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rim_runtime.bundle.folder import GoldenQuestion
from rim_runtime.bundle.manifest import Variant
from rim_runtime.bundle.widened import counted, in_words
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.certification.attempts import Attempt, Attempts, Tolerance
from rim_export.certification.certificate import VariantCertificate
from rim_export.certification.evaluation import (
    AnsweredQuestions,
    Evaluation,
    VariantEvaluation,
    clear_candidates,
    evaluate_variant,
    golden_questions,
    prepare_evaluation,
)
from rim_export.certification.golden import LEAST
from rim_export.certification.refusal import too_few_golden, too_many_flips
from rim_export.certification.steps import Widening, measured_steps, named
from rim_export.certification.trials import Trial, trials_of
from rim_export.errors import CertificateError, VariantRefusedError
from rim_export.question_parts import QuestionParts
from rim_export.recipes.recipe import Recipe, Widened
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
    """What was kept wider, why, and what that cost, for the user to know."""
    trials: tuple[Trial, ...]
    """Every attempt, those that failed as well."""
    widened: Mapping[str, Mapping[str, str]]
    """What was kept wider, by the variants' names, as the manifest says it; variants without any are left out."""
    parts: tuple[Widened, ...]
    """The same for each variant, as its graph says it."""


def prove_variants(
    writer: VariantWriter,
    encoder: PromptEncoder,
    questions: QuestionParts,
    recipes: Sequence[Recipe],
    tolerance: Tolerance,
) -> ProvenVariants:
    """Write a variant by each recipe into the bundle's folder, and certify it.

    With `keep_going`, what is kept wider is chosen on the pool: the certificate's questions are asked once, of
    what was chosen. Raises VariantRefusedError if a variant flips too often or leaves too few golden questions,
    and CertificateError if logits are not finite.
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
        widened={one.variant.name: one.widened for one in last if one.widened},
        parts=tuple(one.widening.parts if one.widening else {} for one in last),
    )


def _certify_each(
    writer: VariantWriter, evaluation: Evaluation, recipes: Sequence[Recipe], tolerance: Tolerance
) -> list[Attempts]:
    """Write and certify one variant after the other; the first that fails is refused."""
    proven: list[Attempts] = []
    for recipe in recipes:
        attempts = (_first_attempt(writer, evaluation, recipe),)
        proven.append(_certified(writer, evaluation, attempts))
        _require_certified(evaluation, proven, recipes, tolerance)
    return proven


def _choose_and_certify(
    writer: VariantWriter, evaluation: Evaluation, recipes: Sequence[Recipe], tolerance: Tolerance
) -> tuple[list[Attempts], tuple[str, ...]]:
    """Widen each variant until it passes on the pool and leaves golden questions, then certify all of them."""
    passed: list[Attempts] = []
    for recipe in recipes:
        first = (_first_attempt(writer, evaluation, recipe),)
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
    while not _passes_on_pool(attempts, tolerance) and _can_widen(attempts):
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
        able = [number for number, attempts in enumerate(proven) if _can_widen(attempts)]
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


def _first_attempt(writer: VariantWriter, evaluation: Evaluation, recipe: Recipe) -> Attempt:
    """Write a variant as its recipe says, and ask it the pool."""
    return _attempt(writer, evaluation, recipe, Widening(()))


def _attempt(writer: VariantWriter, evaluation: Evaluation, recipe: Recipe, widening: Widening) -> Attempt:
    """Write a variant with some parts wider, and ask it the pool."""
    variant = writer.write(recipe, widening.parts)
    widened = named(widening.parts, recipe, writer.weights) if widening.parts else {}
    result = _asked(writer, evaluation, evaluation.pool, recipe, variant, widened)
    size = (writer.bundle.path / variant.data).stat().st_size
    return Attempt(recipe, variant, result, size, widening if widening.steps else None, widened)


def _asked(
    writer: VariantWriter,
    evaluation: Evaluation,
    asked: AnsweredQuestions,
    recipe: Recipe,
    variant: Variant,
    widened: Mapping[str, str],
) -> VariantEvaluation:
    result = evaluate_variant(evaluation, asked, writer.bundle, variant, recipe, writer.tell)
    return replace(result, comparison=replace(result.comparison, widened=widened))


def _certified(writer: VariantWriter, evaluation: Evaluation, attempts: Attempts) -> Attempts:
    """Ask the last attempt the certificate's questions."""
    last = attempts[-1]
    result = _asked(writer, evaluation, evaluation.certified, last.recipe, last.variant, last.widened)
    return (*attempts[:-1], replace(last, certified=result))


def _can_widen(attempts: Attempts) -> bool:
    last = attempts[-1]
    return last.recipe.widens and not (last.widening and last.widening.is_complete)


def _widened(writer: VariantWriter, evaluation: Evaluation, attempts: Attempts) -> Attempts:
    """Attempt it again with twice as many steps taken."""
    last = attempts[-1]
    widening = last.widening or Widening(measured_steps(writer, evaluation, last.recipe))
    return (*attempts, _attempt(writer, evaluation, last.recipe, widening.further()))


def _reason(
    evaluation: Evaluation, passed: Sequence[Attempts], proven: Sequence[Attempts], tolerance: Tolerance
) -> tuple[str, ...]:
    """Return how the choice was made, and whether more was widened for the golden questions."""
    count = len(evaluation.pool.questions)
    choice = f"What is kept wider was chosen on {count} questions; the certificate's were asked once, afterwards."
    widened = [
        ours[-1].variant.name for ours, before in zip(proven, passed, strict=True) if len(ours) > len(before)
    ]
    if not widened:
        return (choice,) if any(len(attempts) > 1 for attempts in proven) else ()
    left = _candidates_left(evaluation, passed, tolerance)
    return (
        choice,
        f"Only {left} of {evaluation.candidates} candidates for golden questions were answered with a clear "
        f"margin, expected at least {LEAST}: more was kept wider in {', '.join(widened)}.",
    )


def _cost(attempts: Attempts) -> tuple[str, ...]:
    first, last = attempts[0], attempts[-1]
    if not last.widened:
        return ()
    more_bytes, longer = last.data_bytes - first.data_bytes, last.result.seconds / first.result.seconds
    return (
        f"Kept wider in {last.variant.name} ({counted(last.widened)}): {in_words(last.widened)}. That is "
        f"{more_bytes / 1e6:,.1f} MB more, and an answer takes {longer:.2f} times as long here.",
    )
