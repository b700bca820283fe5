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
from rim_runtime.prompt.options import LETTERS

from rim_edge.evaluation.checkpoint_answers import best_letters
from rim_edge.evaluation.items import Item
from rim_edge.methods.encoder import TextEncoder

_BATCH = 64


def shuffled_letters(
    model: Any, encoder: TextEncoder, items: Sequence[Item], others: Sequence[Item], blocks: int
) -> list[str]:
    """Return the letter read for every item after the blocks of another one, its own place in `others`."""
    rows = torch.tensor([encoder.encode(letter)[0] for letter in LETTERS])
    pairs = [
        (encoder.prompt(item.question), encoder.prompt(other.question))
        for item, other in zip(items, others, strict=True)
    ]
    parts = [
        shuffled_logits(model, encoder, pairs[at : at + _BATCH], blocks).float().cpu()[:, rows]
        for at in range(0, len(pairs), _BATCH)
    ]
    return best_letters(torch.cat(parts), items)


@torch.no_grad()
def shuffled_logits(
    model: Any, encoder: TextEncoder, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], blocks: int
) -> torch.Tensor:
    """Return the logits [pairs, vocabulary] at the prefix's last token, for pairs (A, B) of prompts."""
    memory = blocks * encoder.contract.block
    rows = [_row(a, b, memory, encoder.contract.prefix) for a, b in pairs]
    width = max(map(len, rows))
    padded = torch.tensor([row + (width - len(row)) * [_FILLER] for row in rows], device=model.device)
    ids, positions, group = padded.unbind(-1)  # each (pairs, width)
    hidden = model.base_model(
        input_ids=ids, attention_mask=_mask(group), position_ids=positions, use_cache=False
    ).last_hidden_state
    last = torch.tensor([len(row) - 1 for row in rows], device=model.device)
    logits: torch.Tensor = model.get_output_embeddings()(
        hidden[torch.arange(len(rows), device=model.device), last]
    )
    return logits


def _row(a: Sequence[int], b: Sequence[int], memory: Sequence[int], prefix: Sequence[int]) -> list[_Token]:
    """Return a row's tokens as (id, position, group); positions start where the longer question begins."""
    end = max(len(a), len(b))
    parts = (
        (_A, a, end - len(a)),
        (_B, b, end - len(b)),
        (_MEMORY, memory, end),
        (_PREFIX, prefix, end + len(memory)),
    )
    return [(token, place, group) for group, ids, first in parts for place, token in enumerate(ids, start=first)]


_Token = tuple[int, int, int]
_A, _B, _MEMORY, _PREFIX, _PADDING = range(5)
_FILLER: _Token = (0, 0, _PADDING)
_SEES = torch.tensor(
    [  # keys:  A, B, memory, prefix, padding
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [1, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ],
    dtype=torch.bool,
)


def _mask(group: torch.Tensor) -> torch.Tensor:
    """Return the mask bool [rows, 1, width, width]: which token sees which, causally; every token sees itself."""
    seen = _SEES.to(group.device)[group[:, :, None], group[:, None, :]]
    width = group.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool, device=group.device).tril()
    return (seen & causal | torch.eye(width, dtype=torch.bool, device=group.device))[:, None]
