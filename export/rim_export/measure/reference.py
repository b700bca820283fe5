"""The reference: fp32 arithmetic on the checkpoint's weights, one layer in memory at a time (DESIGN 8).

The exported graph is not used: layers are transformers' own, and prompts are composed from the contract.
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
    """The checkpoint's answers, and the error that recipes would add to its layers."""

    logits: np.ndarray
    """float32 [prompts, letters] (full output projection: [prompts, vocabulary]), after each prompt."""
    layer_errors: Mapping[Emulate, tuple[float, ...]]
    """For each arithmetic, the error of each layer's update, relative to the update (tokens' mean)."""


@torch.no_grad()
def run_reference(
    weights: ModelWeights,
    prompts: Sequence[Sequence[int]],
    emulations: Sequence[Emulate] = (),
    report: Callable[[float], None] | None = None,
) -> Reference:
    """Run the checkpoint on prompts.

    For each of `emulations`, every layer runs again on the first PROBES prompts, with the same inputs but with the
    recipe's products, which measures the error that the recipe adds to this layer alone.
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
