"""The steps in which `--keep-going` widens a variant: what errs most comes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from rim_runtime.bundle.widened import TABLE

from rim_export.certification.evaluation import Evaluation
from rim_export.graph.skeleton import BACKBONE, short_name
from rim_export.measure.part_errors import PartErrors, part_errors
from rim_export.measure.reference import PROBES
from rim_export.recipes.recipe import Form, Recipe, Widened
from rim_export.variant_writer import VariantWriter
from rim_export.weights.model_weights import ModelWeights

_DTYPES = {torch.bfloat16: "bf16", torch.float16: "fp16"}


@dataclass(frozen=True)
class Step:
    """One part takes a wider form."""

    part: str
    """The graph's name of its weight."""
    form: Form
    """The form it takes."""
    error: float
    """What it errs before."""


@dataclass(frozen=True)
class Widening:
    """A recipe's steps, and how many of them were taken."""

    steps: tuple[Step, ...]
    """All of them, in the order in which they are taken."""
    taken: int = 0
    """How many were."""

    @property
    def parts(self) -> Widened:
        """The form of each part that is wider now."""
        return {step.part: step.form for step in self.steps[: self.taken]}

    @property
    def is_complete(self) -> bool:
        """Whether all steps were taken."""
        return self.taken == len(self.steps)

    def further(self) -> Widening:
        """Return it with twice as many steps taken, at least one."""
        return replace(self, taken=min(max(1, 2 * self.taken), len(self.steps)))


def measured_steps(writer: VariantWriter, evaluation: Evaluation, recipe: Recipe) -> tuple[Step, ...]:
    """Return all steps of a recipe, by what its parts err on questions of the pool."""
    asked = evaluation.pool.questions[:PROBES]
    prompts = [evaluation.encoder.compose(question.text).ids for question in asked]
    errors = part_errors(
        writer.weights, prompts, recipe, lambda share: writer.tell("Looking for what errs most", share)
    )
    return ranked(errors)


def ranked(errors: Sequence[PartErrors]) -> tuple[Step, ...]:
    """Return the steps, the one that mends the largest error first; a finer form comes before the widest."""
    steps = [step for found in errors for step in _steps_of(found)]
    return tuple(sorted(steps, key=lambda step: -step.error))


def _steps_of(found: PartErrors) -> Iterator[Step]:
    if found.finer is None or found.finer >= found.own:
        yield Step(found.part, Form.WIDE, found.own)
        return
    yield Step(found.part, Form.FINER, found.own)
    yield Step(found.part, Form.WIDE, found.finer)


def named(widened: Widened, recipe: Recipe, weights: ModelWeights) -> Mapping[str, str]:
    """Return what is wider as manifest and certificate say it: parts by their short names, forms as words."""
    table = f"{BACKBONE}.{weights.anatomy.table}"
    told = {}
    for part, form in widened.items():
        if part == table:
            told[TABLE] = _DTYPES.get(weights.dtype(part), "fp32")
        else:
            finer = form is Form.FINER and recipe.finer is not None
            told[short_name(part)] = recipe.finer.name if finer and recipe.finer else recipe.compute.value
    return told
