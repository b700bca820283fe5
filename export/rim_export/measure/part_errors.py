"""What each part of a model errs by itself: a product of a layer, or the embedding table, in a recipe's form.

The unit is the same for all parts, so that they can be compared: the error of the states that come out (a layer's
results, the embedded tokens), relative to them, as the mean of all tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from rim_export.graph.skeleton import BACKBONE
from rim_export.measure.reference import PROBES
from rim_export.measure.streamed import StreamedModel, mean_error
from rim_export.recipes.recipe import Recipe
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class PartErrors:
    """What one part errs."""

    part: str
    """The graph's name of its weight."""
    own: float
    """In the recipe's own form."""
    finer: float | None = None
    """In its finer form; None: there is none."""


@torch.no_grad()
def part_errors(
    weights: ModelWeights, prompts: Sequence[Sequence[int]], recipe: Recipe, report: Callable[[float], None]
) -> tuple[PartErrors, ...]:
    """Measure every part that a recipe narrows, but for the readout, on the first PROBES prompts."""
    few = prompts[:PROBES]
    return (*_of_table(weights, few, recipe), *_of_products(weights, few, recipe, report))


def _of_table(weights: ModelWeights, prompts: Sequence[Sequence[int]], recipe: Recipe) -> Iterator[PartErrors]:
    if recipe.table.emulate is None or recipe.table.wide is None:
        return
    anatomy = weights.anatomy
    name = f"{BACKBONE}.{anatomy.table}"
    ids = torch.tensor([token for prompt in prompts for token in prompt])
    rows = weights.stored(anatomy.stored_name(name))[ids].float()
    if recipe.rotation is not None:
        rows = recipe.rotation.fold(name, rows)
    yield PartErrors(name, mean_error([recipe.table.emulate(rows)], [rows], [rows]))


def _of_products(
    weights: ModelWeights, prompts: Sequence[Sequence[int]], recipe: Recipe, report: Callable[[float], None]
) -> Iterator[PartErrors]:
    assert recipe.emulate is not None
    model = StreamedModel(weights)
    states = model.embed(prompts)
    for layer in model.layers():
        after = layer.advance(states)
        for name in layer.linears:
            own = layer.state_error(states, after, recipe.emulate, name)
            finer = None
            if recipe.finer is not None:
                finer = layer.state_error(states, after, recipe.finer.emulate, name)
            yield PartErrors(name, own, finer)
        states = after
        report((layer.number + 1) / model.depth)
