"""Shuffled blocks: every question is answered behind the memory that was computed for another one.

The blocks' ids are the same for all questions, so only their hidden states can be shuffled. One masked pass a row:

    [question A][question B][blocks, which see B][prefix, which sees A and the blocks]

B's positions end where A's end, so the blocks stand right behind both. If the answers stay as right as they were,
they were never in the blocks; with B = A it is the ordinary pass.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from rim_runtime.options import LETTERS

from rim_edge.train.encode import ExampleEncoder
from rim_edge.train.evaluate import best_letters
from rim_edge.train.items import Item

_BATCH = 64


def partners(count: int, seed: int) -> list[int]:
    """Return for each of `count` questions (2 or more) another one, each once."""
    order = list(range(count))
    random.Random(f"rim-edge swapped blocks {seed}").shuffle(order)
    partner = dict(zip(order, order[1:] + order[:1], strict=True))
    return [partner[place] for place in range(count)]


def swapped_letters(
    model: Any, encoder: ExampleEncoder, items: Sequence[Item], partner: Sequence[int], blocks: int
) -> list[str]:
    """Return the letter read for every item behind the blocks of its partner."""
    questions = [encoder.prompt(item.question) for item in items]
    rows = torch.tensor([encoder.encode(letter)[0] for letter in LETTERS])
    pairs = [(questions[place], questions[other]) for place, other in enumerate(partner)]
    parts = [
        swapped_logits(model, encoder, pairs[at : at + _BATCH], blocks)[:, rows]
        for at in range(0, len(pairs), _BATCH)
    ]
    return best_letters(torch.cat(parts), items)


@torch.no_grad()
def swapped_logits(
    model: Any, encoder: ExampleEncoder, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], blocks: int
) -> torch.Tensor:
    """Return the logits [pairs, vocabulary] at the prefix's last token, for pairs (A, B) of prompts."""
    contract = encoder.contract
    memory, prefix = blocks * contract.block, contract.prefix
    width = max(len(a) + len(b) for a, b in pairs) + len(memory) + len(prefix)
    ids = torch.zeros(len(pairs), width, dtype=torch.int64)
    positions = torch.zeros_like(ids)
    group = torch.full_like(ids, _PADDING)
    for row, (a, b) in enumerate(pairs):
        start = max(0, len(b) - len(a))
        parts = [
            (_A, a, start),
            (_B, b, start + len(a) - len(b)),
            (_MEMORY, memory, start + len(a)),
            (_PREFIX, prefix, start + len(a) + len(memory)),
        ]
        column = 0
        for kind, tokens, first in parts:
            span = slice(column, column + len(tokens))
            ids[row, span] = torch.tensor(tokens, dtype=torch.int64)
            positions[row, span] = torch.arange(first, first + len(tokens))
            group[row, span] = kind
            column += len(tokens)
    hidden = model.base_model(
        input_ids=ids, attention_mask=_mask(group), position_ids=positions, use_cache=False
    ).last_hidden_state
    last = (group == _PREFIX).long().cumsum(-1).argmax(-1)  # the prefix's last token
    logits: torch.Tensor = model.get_output_embeddings()(hidden[torch.arange(len(pairs)), last])
    return logits


_A, _B, _MEMORY, _PREFIX, _PADDING = range(5)
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
    """Return the mask bool [rows, 1, width, width]: who sees whom, causally; everybody sees itself."""
    seen = _SEES[group[:, :, None], group[:, None, :]]
    width = group.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    return (seen & causal | torch.eye(width, dtype=torch.bool))[:, None]
