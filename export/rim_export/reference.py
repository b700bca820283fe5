"""The reference: fp32 arithmetic on the checkpoint's weights, one layer in memory at a time (DESIGN 8).

All prompts pass layer 1, then all pass layer 2, and so on. Nothing of the export's graph is used: the layers
are transformers' own, the prompts are composed here from the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from rim_export.bind import ModelWeights
from rim_export.recipes import Emulate
from rim_export.single_pass import skeleton
from rim_export.trace import READOUT

PROBES = 8
"""Prompts on which a recipe's arithmetic is tried, layer by layer."""


@dataclass(frozen=True)
class Reference:
    """What the checkpoint answers, and what a recipe would do to its layers."""

    logits: np.ndarray
    """float32 [prompts, letters] (a full head: [prompts, vocabulary]), behind each prompt."""
    layer_errors: tuple[float, ...]
    """For each layer, the error of its update under the recipe's arithmetic, relative to the update (RMS)."""


@torch.no_grad()
def run_reference(
    weights: ModelWeights,
    prompts: Sequence[Sequence[int]],
    emulate: Emulate | None = None,
    report: Callable[[float], None] | None = None,
) -> Reference:
    """Run the checkpoint on prompts, each alone, unpadded.

    Peak memory: one layer in fp32, the embedding table in its own dtype, and the hidden states of all prompts.
    With `emulate`, each layer runs a second time on the first PROBES prompts, from the same inputs, with the
    recipe's products instead of its own: the error it adds by itself.
    """
    model = skeleton(weights.checkpoint.load_config()).base_model
    table = weights.read("backbone.embed_tokens.weight")
    hidden = [table[torch.tensor(prompt)].float()[None] for prompt in prompts]  # (1, S, H) each
    del table
    errors = []
    for number, layer in enumerate(model.layers):
        _load(layer, weights, f"backbone.layers.{number}")
        after = [_advance(model, layer, states) for states in hidden]
        if emulate:
            with _emulated(layer, emulate):
                rough = [_advance(model, layer, states) for states in hidden[:PROBES]]
            errors.append(_update_error(hidden, after, rough))
        hidden = after
        layer.to("meta")
        if report:
            report((number + 1) / len(model.layers))
    _load(model.norm, weights, "backbone.norm")
    rows = model.norm(torch.cat([states[:, -1] for states in hidden]))  # (N, H)
    logits: np.ndarray = (rows @ weights.read(READOUT).float().T).numpy()
    return Reference(logits, tuple(errors))


@contextmanager
def _emulated(layer: nn.Module, emulate: Emulate) -> Iterator[None]:
    """Let the layer's linear modules compute their products by the recipe."""
    modules = [module for module in layer.modules() if isinstance(module, nn.Linear)]
    for module in modules:
        module.forward = partial(_product, module, emulate)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def _product(module: nn.Linear, emulate: Emulate, activations: torch.Tensor) -> torch.Tensor:
    return emulate(activations, module.weight)


def _update_error(
    before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], rough: Sequence[torch.Tensor]
) -> float:
    pairs = list(zip(before, after, rough, strict=False))  # of the probed prompts
    wrong = sum(((emulated - exact) ** 2).sum().item() for _, exact, emulated in pairs)
    whole = sum(((exact - start) ** 2).sum().item() for start, exact, _ in pairs)
    return float((wrong / max(whole, 1e-30)) ** 0.5)


def _load(module: nn.Module, weights: ModelWeights, prefix: str) -> None:
    state = {name: weights.read(f"{prefix}.{name}").float() for name in module.state_dict()}
    module.load_state_dict(state, assign=True)


def _advance(model: Any, layer: nn.Module, states: torch.Tensor) -> torch.Tensor:
    positions = torch.arange(states.shape[1])[None]
    output = layer(
        states,
        attention_mask=None,
        position_ids=positions,
        position_embeddings=model.rotary_emb(states, positions),
    )
    result: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return result
