"""Matrices with compensated errors (recipes/gptq.py), one layer of the checkpoint in memory at a time.

Calibration prompts go through a layer as it is, which gives the second moments of its inputs; its matrices are
rounded by them. For int4, the prompts then go through the quantized layer, so that the next one makes up for
errors that it really gets; int8 and fp8 change too little for that. What is kept is narrow: at the geometry of
Qwen3-1.7B, 0.7 GB in int4 and 1.4 GB in int8 or fp8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import torch

from rim_export.errors import CalibrationError
from rim_export.graph.projection import rows_first
from rim_export.measure.moments import Moments
from rim_export.measure.streamed import LoadedLayer, States, StreamedModel
from rim_export.question_sets import CalibrationSet
from rim_export.recipes.blocks import BlockFormat, Blocks
from rim_export.recipes.gptq import Feedback, compensate_blocks, compensate_rows
from rim_export.recipes.matrices import NarrowType, QuantizedRows
from rim_export.weights.model_weights import ModelWeights

MOST_TOKENS = 2048
"""Tokens of calibration for int8 and fp8: four times as many measured no better on SmolLM2."""

_T = TypeVar("_T")


@torch.no_grad()
def compensated_blocks(
    weights: ModelWeights, questions: CalibrationSet, form: BlockFormat, report: Callable[[float], None]
) -> Mapping[str, Blocks]:
    """Return the matrices of all layers in int4, by their names in the graph.

    Raises CalibrationError if an activation is not finite.
    """
    model = StreamedModel(weights)
    hidden: States = model.embed(questions.prompts)
    found: dict[str, Blocks] = {}
    for layer in model.layers():
        moments = Moments()
        layer.advance(hidden, moments.add)
        found |= _rounded(layer, moments, questions, weights, partial(compensate_blocks, form=form))
        hidden = _advance_quantized(layer, hidden, found)
        report((layer.number + 1) / model.depth)
    return found


@torch.no_grad()
def compensated_rows(
    weights: ModelWeights,
    questions: CalibrationSet,
    kinds: Sequence[NarrowType],
    report: Callable[[float], None],
) -> Mapping[NarrowType, Mapping[str, QuantizedRows]]:
    """Return the matrices of all layers in each of these narrow types, by their names in the graph.

    They are those of `weights`, factors and turns folded in. Raises CalibrationError if an activation is not
    finite.
    """
    model = StreamedModel(weights)
    hidden: States = model.embed(_first_tokens(questions.prompts))
    found: dict[NarrowType, dict[str, QuantizedRows]] = {kind: {} for kind in kinds}
    for layer in model.layers():
        moments = Moments(weights.fold_input)
        hidden = layer.advance(hidden, moments.add)
        for name, rows in _rounded(layer, moments, questions, weights, partial(_in_each, kinds)).items():
            for kind, row in rows.items():
                found[kind][name] = row
        report((layer.number + 1) / model.depth)
    return found


def _in_each(
    kinds: Sequence[NarrowType], matrix: torch.Tensor, feedback: Sequence[Feedback]
) -> Mapping[NarrowType, QuantizedRows]:
    return {kind: compensate_rows(matrix, feedback, kind) for kind in kinds}


def _first_tokens(prompts: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    """Return the first prompts that have MOST_TOKENS together; the last is cut off there."""
    left = MOST_TOKENS
    kept = []
    for prompt in prompts:
        if left > 0:
            kept.append(prompt[:left])
            left -= len(prompt)
    return kept


def _rounded(
    layer: LoadedLayer,
    moments: Moments,
    questions: CalibrationSet,
    weights: ModelWeights,
    compensate: Callable[[torch.Tensor, Sequence[Feedback]], _T],
) -> Mapping[str, _T]:
    """Return the layer's matrices rounded, by their names."""
    if not moments.are_finite:
        raise CalibrationError(
            f"Layer {layer.number} gets activations that are no finite numbers, or too large to be squared, on "
            f"questions of {questions.name}. Copy the checkpoint again if its weights are damaged, or take "
            "--rounding nearest."
        )
    linears = layer.linears
    found: dict[str, _T] = {}
    for owner, names in moments.sharers.items():
        feedback = moments.feedback(owner)
        for name in names:
            found[name] = compensate(weights.fold(name, rows_first(linears[name])), feedback)
    return found


def _advance_quantized(layer: LoadedLayer, hidden: States, blocks: Mapping[str, Blocks]) -> States:
    """Return the hidden states after the layer with its matrices in int4."""
    known: dict[str, torch.Tensor] = {}  # a matrix is widened once, not for every batch

    def product(name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        if name not in known:
            known[name] = blocks[name].widened(weight.shape[1])
        return torch.nn.functional.linear(activations, known[name])

    with layer.replaced(product):
        return layer.advance(hidden)
