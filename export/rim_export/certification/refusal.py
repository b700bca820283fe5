"""Why an export is refused: what was tried, how far it got, and what is left to try."""

from __future__ import annotations

from collections.abc import Sequence

from rim_runtime.bundle.manifest import Compute, Dialect
from rim_runtime.bundle.widened import counted, in_words

from rim_export.certification.attempts import Attempt, Attempts, Tolerance
from rim_export.certification.certificate import VariantCertificate
from rim_export.recipes.recipe import Recipe


def too_many_flips(attempts: Attempts, tolerance: Tolerance, recipes: Sequence[Recipe]) -> str:
    """Return the message for a variant that answers too many questions otherwise than the checkpoint."""
    attempt = attempts[-1]
    last = (attempt.certified or attempt.result).comparison
    layers = ", ".join(f"{cost.layer} ({cost.error:.1%})" for cost in last.costliest_layers)
    named = f"Layers that cost most, with the error of their update: {layers}." if layers else ""
    parts = (
        f"The {last.variant} variant answers {last.flips} of {last.n} questions otherwise than the checkpoint"
        f"{_near_ties(last)} ({_share(last, tolerance)}), allowed are {_allowed(last, tolerance)}. "
        "Nothing was written.",
        _why_written(attempt.recipe, recipes),
        named,
        _tried(attempts),
        _advice(attempt.recipe, tolerance, recipes, _last_resort(last, tolerance), _no_wider(attempt)),
    )
    return " ".join(part for part in parts if part)


def _near_ties(found: VariantCertificate) -> str:
    """Say how many of the flips do not count."""
    if not found.near_tie_flips:
        return ""
    return f", {found.near_tie_flips} of them near ties, which do not count; {found.clear_flips} do"


def _share(found: VariantCertificate, tolerance: Tolerance) -> str:
    if found.clear_share > tolerance.max_flips:
        return f"{found.clear_share:.1%}"
    return f"{found.clear_share:.1%}, by the 95 % interval at most {found.clear_interval[1]:.1%}"


def _allowed(found: VariantCertificate, tolerance: Tolerance) -> str:
    if found.clear_share > tolerance.max_flips or tolerance.max_flips_upper is None:
        return f"{tolerance.max_flips:.1%}"
    return f"an upper end of {tolerance.max_flips_upper:.1%}"


def _last_resort(found: VariantCertificate, tolerance: Tolerance) -> str:
    if found.clear_share > tolerance.max_flips:
        return "allow more with --max-flips"
    return "give more questions with --certify, or allow more with --max-flips-upper"


def too_few_golden(found: str, worst: Attempts, tolerance: Tolerance, recipes: Sequence[Recipe]) -> str:
    """Return the message for variants that leave too few golden questions; `found` says how many."""
    recipe, resort = worst[-1].recipe, "give more questions with --certify or --golden"
    advice = _advice(recipe, tolerance, recipes, resort, _EVERY_PART)
    return " ".join(part for part in (found, _tried(worst), advice) if part)


def _why_written(recipe: Recipe, recipes: Sequence[Recipe]) -> str:
    """Say why a variant was written that nobody asked for by its name; empty if it is the one asked for."""
    if recipe.dialect is Dialect.ORT and len(recipes) > 1:
        return (
            f"{recipe.name} is {recipe.precision} in ONNX Runtime's own operators, which is written beside the "
            "portable form; --dialect portable leaves it out."
        )
    if recipe.compute is Compute.FP32 and any(other.compute is not Compute.FP32 for other in recipes):
        return f"{recipe.name} is written with every export for GPUs, so that the bundle answers on a CPU too."
    return ""


def _tried(attempts: Attempts) -> str:
    """Say how far each attempt got; empty if there was only one."""
    if len(attempts) == 1:
        return ""
    tried = ", ".join(f"{one.result.comparison.clear_flips} with {_parts(one)}" for one in attempts)
    n = attempts[0].result.comparison.n
    return f"Of the {n} questions it was chosen on, these differed, by what was kept wider: {tried}."


def _parts(attempt: Attempt) -> str:
    if not attempt.widened:
        return "nothing"
    few = len(attempt.widened) <= _NAMED
    return in_words(attempt.widened) if few else counted(attempt.widened)


_NAMED = 2
"""Parts that are named one by one, not counted, in what was tried."""
_EVERY_PART = "Nothing is left to be kept wider."


def _no_wider(attempt: Attempt) -> str:
    """Say why `--keep-going` does not go on."""
    if attempt.certified:
        return "What is kept wider was chosen on other questions, where it passed; these are asked once."
    return _EVERY_PART


def _advice(
    recipe: Recipe, tolerance: Tolerance, recipes: Sequence[Recipe], last_resort: str, no_wider: str
) -> str:
    if recipe.widens and not tolerance.keep_going:
        return f"Keep wider what errs most with --keep-going, or {last_resort}."
    done = no_wider if recipe.widens else f"{recipe.name} has nothing that could be kept wider."
    asked_for = recipe.precision is recipes[-1].precision
    left = (*(tolerance.closer if asked_for else ()), last_resort)
    return f"{done} Try {', or '.join(left)}." if len(left) > 1 else f"{done} {last_resort.capitalize()}."
