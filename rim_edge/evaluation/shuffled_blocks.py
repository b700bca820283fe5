"""Shuffled blocks: every question is answered after the memory that was computed for another one.

The blocks' ids are the same for all questions, so only their hidden states can be shuffled. One masked pass a row:

    [question A][question B][blocks, which see B][prefix, which sees A and the blocks]

B's positions end where A's end, so the blocks come right after both. If accuracy does not fall, the answers
were never in the blocks. With B = A it is the ordinary pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rim_edge.evaluation.checkpoint_answers import best_letters, letter_ids
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.masked_pass import Part, masked_logits
from rim_edge.methods.encoder import TextEncoder

_BATCH = 64


def shuffled_letters(
    model: Any, encoder: TextEncoder, items: Sequence[Item], others: Sequence[Item], blocks: int
) -> list[str]:
    """Return the letter read for every item after the blocks of another one, its own place in `others`."""
    rows = letter_ids(encoder)
    pairs = [
        (encoder.prompt(item.question), encoder.prompt(other.question))
        for item, other in zip(items, others, strict=True)
    ]
    parts = [
        shuffled_logits(model, encoder, pairs[at : at + _BATCH], blocks).float().cpu()[:, rows]
        for at in range(0, len(pairs), _BATCH)
    ]
    return best_letters(torch.cat(parts), items)


def shuffled_logits(
    model: Any, encoder: TextEncoder, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], blocks: int
) -> torch.Tensor:
    """Return the logits [pairs, vocabulary] at the prefix's last token, for pairs (A, B) of prompts."""
    memory = blocks * encoder.contract.block
    rows = [_row(a, b, memory, encoder.contract.prefix) for a, b in pairs]
    return masked_logits(model, rows, _SEES, [len(_SEES) - 1])[:, 0]


def _row(a: Sequence[int], b: Sequence[int], memory: Sequence[int], prefix: Sequence[int]) -> list[Part]:
    """Return a row's parts; positions start where the longer question begins."""
    end = max(len(a), len(b))
    return [Part(a, end - len(a)), Part(b, end - len(b)), Part(memory, end), Part(prefix, end + len(memory))]


_SEES = torch.tensor(
    [  # keys:  A, B, memory, prefix
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 1, 1, 0],
        [1, 0, 1, 1],
    ],
    dtype=torch.bool,
)
