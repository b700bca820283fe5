"""-log p of tokens, from the states before them: never more logits at once than the memory has room for."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_LOGITS = 2**25
"""Logits that are held at once (128 MiB in fp32); the head is applied to more labels in several chunks."""


def token_nll(model: Any, states: Tensor, targets: Tensor) -> Tensor:
    """Return -log p, float32 [labels], of targets [labels] after states [labels, hidden].

    The head is applied to as many labels at once as CHUNK_LOGITS allows; further chunks are computed again in the
    backward pass instead of being kept.
    """
    head, chunk = model.get_output_embeddings(), max(1, CHUNK_LOGITS // model.config.vocab_size)
    if len(states) <= chunk:
        return _nll(head, states, targets)
    parts = zip(torch.split(states, chunk), torch.split(targets, chunk), strict=True)
    return torch.cat([checkpoint(_nll, head, *part, use_reentrant=False) for part in parts])


def _nll(head: Any, states: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(head(states).float(), targets, reduction="none")  # (labels,)
