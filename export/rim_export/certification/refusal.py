"""Why an export is refused: what was tried, how far it got, and what is left to try."""

from __future__ import annotations

from collections.abc import Sequence

from rim_runtime.bundle.manifest import Compute, Dialect

from rim_export.certification.attempts import Attempts, Tolerance
from rim_export.recipes.recipe import Recipe


def too_many_flips(attempts: Attempts, tolerance: Tolerance, recipes: Sequence[Recipe]) -> str:
    """Return the message for a variant that answers too many questions otherwise than the checkpoint."""
    last = attempts[-1].result.comparison
    layers = ", ".join(f"{cost.layer} ({cost.error:.1%})" for cost in last.costliest_layers)
    named = f"Layers that cost most, with the error of their update: {layers}." if layers else ""
    parts = (
        f"The {last.variant} variant answers {last.flips} of {last.n} questions otherwise than the checkpoint "
        f"({last.flip_share:.1%}), allowed are {tolerance.max_flips:.1%}. Nothing was written.",
        _why_written(attempts[-1].recipe, recipes),
        named,
        _tried(attempts),
        _advice(attempts, tolerance, recipes, "allow more with --max-flips"),
    )
    return " ".join(part for part in parts if part)


def too_few_golden(found: str, worst: Attempts, tolerance: Tolerance, recipes: Sequence[Recipe]) -> str:
    """Return the message for variants that leave too few golden questions; `found` says how many."""
    advice = _advice(worst, tolerance, recipes, "give more questions with --certify")
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
    steps = ", ".join(f"{one.result.comparison.flips} with {_layers(one.variant.wide_layers)}" for one in attempts)
    return f"Answers that differed, by the layers kept in {attempts[0].variant.compute}: {steps}."


def _layers(wide: Sequence[int]) -> str:
    if not wide:
        return "none"
    return f"{'layer' if len(wide) == 1 else 'layers'} {' and '.join(map(str, wide))}"


def _advice(attempts: Attempts, tolerance: Tolerance, recipes: Sequence[Recipe], last_resort: str) -> str:
    recipe = attempts[-1].recipe
    if recipe.widens and not tolerance.keep_going:
        return f"Keep costly layers wider with --keep-going, or {last_resort}."
    if recipe.widens:
        done = "Every layer is wide: --keep-going cannot help."
    else:
        done = f"{recipe.name} has no layers that could be kept wider."
    asked_for = recipe.precision is recipes[-1].precision
    left = (*(tolerance.closer if asked_for else ()), last_resort)
    return f"{done} Try {', or '.join(left)}." if len(left) > 1 else f"{done} {last_resort.capitalize()}."
