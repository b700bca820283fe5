"""The reference: fp32 arithmetic on the checkpoint's weights, one layer in memory at a time (DESIGN 8).

All prompts pass layer 1, then all pass layer 2, and so on. Nothing of the export's graph is used: the layers
are transformers' own, the prompts are composed here from the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from rim_export.bind import ModelWeights
from rim_export.single_pass import skeleton
from rim_export.trace import READOUT


@torch.no_grad()
def reference_logits(
    weights: ModelWeights, prompts: Sequence[Sequence[int]], report: Callable[[float], None] | None = None
) -> np.ndarray:
    """Return float32 [prompts, letters] (a full head: [prompts, vocabulary]): the logits behind each prompt.

    Each prompt runs alone, unpadded. Peak memory: one layer in fp32, the embedding table in its own dtype,
    and the hidden states of all prompts.
    """
    model = skeleton(weights.checkpoint.load_config()).base_model
    table = weights.read("backbone.embed_tokens.weight")
    hidden = [table[torch.tensor(prompt)].float()[None] for prompt in prompts]  # (1, S, H) each
    del table
    for number, layer in enumerate(model.layers):
        _load(layer, weights, f"backbone.layers.{number}")
        hidden = [_advance(model, layer, states) for states in hidden]
        layer.to("meta")
        if report:
            report((number + 1) / len(model.layers))
    _load(model.norm, weights, "backbone.norm")
    rows = model.norm(torch.cat([states[:, -1] for states in hidden]))  # (N, H)
    logits: np.ndarray = (rows @ weights.read(READOUT).float().T).numpy()
    return logits


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
