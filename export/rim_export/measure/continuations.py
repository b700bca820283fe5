"""What the checkpoint itself would write after each token of a given text: one pass over its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from rim_runtime.bundle.manifest import Head

from rim_export.measure.streamed import States, StreamedModel
from rim_export.weights.model_weights import ModelWeights


@torch.no_grad()
def continuation_logits(
    weights: ModelWeights,
    prompts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[int]],
    report: Callable[[float], None] | None = None,
    *,
    vectors: States | None = None,
) -> list[NDArray[np.float32]]:
    """Return the checkpoint's logits before each token of these texts, behind their prompts: [tokens, vocabulary].

    Where they choose each time the token that stands there, the text is what the checkpoint writes greedily.
    Negative ids in a prompt stand for its `vectors`, those of latent steps (latent_vectors.py).
    """
    model = StreamedModel(replace(weights, head=Head.FULL))
    read = [[*prompt, *text[:-1]] for prompt, text in zip(prompts, texts, strict=True)]
    hidden = model.embed(read, vectors)
    for layer in model.layers():
        hidden = layer.advance(hidden)
        if report:
            report((layer.number + 1) / model.depth)
    pieces = [
        states[:end]
        for states, prompt in zip(hidden, prompts, strict=True)
        for end in range(len(prompt), len(states) + 1)
    ]
    logits = model.read_out(pieces).numpy()
    ends = np.cumsum([len(text) for text in texts])[:-1]
    return list(np.split(logits, ends))
