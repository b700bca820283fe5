"""The reference: fp32 arithmetic on the checkpoint's weights, one layer in memory at a time (DESIGN 8).

Nothing of the export's graph is used: layers are transformers' own, prompts are composed from the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rim_export.measure.streamed import StreamedModel
from rim_export.recipes.recipe import Emulate
from rim_export.weights.model_weights import ModelWeights

PROBES = 8
"""Prompts on which a recipe's arithmetic is tried, layer by layer."""


@dataclass(frozen=True)
class Reference:
    """What the checkpoint answers, and what recipes would do to its layers."""

    logits: np.ndarray
    """float32 [prompts, letters] (a full head: [prompts, vocabulary]), after each prompt."""
    layer_errors: Mapping[Emulate, tuple[float, ...]]
    """For each arithmetic and layer, the error of the layer's update, relative to the update (RMS)."""


@torch.no_grad()
def run_reference(
    weights: ModelWeights,
    prompts: Sequence[Sequence[int]],
    emulations: Sequence[Emulate] = (),
    report: Callable[[float], None] | None = None,
) -> Reference:
    """Run the checkpoint on prompts.

    For each of `emulations`, every layer runs a second time on the first PROBES prompts, from the same inputs,
    with the recipe's products instead of its own: the error it adds by itself.
    """
    model = StreamedModel(weights)
    hidden = model.embed(prompts)
    errors: dict[Emulate, tuple[float, ...]] = dict.fromkeys(emulations, ())
    for layer in model.layers():
        after = layer.advance(hidden)
        for emulate, found in errors.items():
            error = layer.update_error(hidden[:PROBES], after[:PROBES], emulate)
            errors[emulate] = (*found, error)
        hidden = after
        if report:
            report((layer.number + 1) / model.depth)
    return Reference(model.read_out(hidden).numpy(), errors)
