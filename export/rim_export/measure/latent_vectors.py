"""What the checkpoint itself reads in its latent steps: transformers' own layers, a pass over them a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rim_export.measure.streamed import StreamedModel
from rim_export.weights.model_weights import ModelWeights

VECTOR = -1
"""The id in a prompt that stands for a vector."""


@torch.no_grad()
def latent_vectors(
    weights: ModelWeights,
    prompts: Sequence[Sequence[int]],
    steps: int,
    project: Callable[[torch.Tensor], torch.Tensor],
    report: Callable[[float], None] | None = None,
) -> list[torch.Tensor]:
    """Return the vectors of each prompt's latent steps, one or more, fp32 [steps, hidden].

    Each is what `project` makes of the state after the last norm, fp32 [prompts, hidden], at the last position.
    """
    model = StreamedModel(weights)
    found: list[torch.Tensor] = []
    for step in range(steps):
        before = torch.stack(found, dim=1) if found else None
        read = [[*prompt, *step * [VECTOR]] for prompt in prompts]
        hidden = model.embed(read, None if before is None else list(before))
        for layer in model.layers():
            hidden = layer.advance(hidden)
            if report:
                report((step + (layer.number + 1) / model.depth) / steps)
        found.append(project(model.final_states(hidden)))
    return list(torch.stack(found, dim=1))
