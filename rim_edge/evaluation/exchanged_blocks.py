"""Exchanged blocks: a question is answered with some of its blocks exchanged for another question's.

A block that is exchanged (resample ablation) holds the hidden states that it has after question B and B's earlier
blocks. All other blocks, later ones too, keep what they computed after question A: so only the direct path from a
block to the readout is cut, not what later blocks took from it. One masked pass a row, with a prefix for each
exchange:

    [question A][question B][A's blocks][B's blocks][prefix 1][prefix 2]…

Both memories lie at the same positions, B's question ends where A's ends, and all prefixes follow at the same
positions. A prefix sees A, itself, and of each block A's or B's. With B = A it is the ordinary pass; with all
blocks exchanged, that of `shuffled_blocks`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from rim_edge.evaluation.checkpoint_answers import best_letters, letter_ids
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.masked_pass import Part, masked_logits
from rim_edge.methods.encoder import TextEncoder

_ROWS, _PREFIXES = 64, 256
"""In one pass at most: each prefix has logits of the whole vocabulary."""


def exchanged_letters(
    model: Any, encoder: TextEncoder, items: Sequence[Item], others: Sequence[Item], blocks: int
) -> list[dict[int, str]]:
    """Return the letters read for every item, by the one block (1 to `blocks`) that is another item's.

    The other item has the item's place in `others`.
    """
    exchanges = [{block} for block in range(1, blocks + 1)]
    rows = letter_ids(encoder)
    pairs = [
        (encoder.prompt(item.question), encoder.prompt(other.question))
        for item, other in zip(items, others, strict=True)
    ]
    together = max(1, min(_ROWS, _PREFIXES // blocks))
    parts = [pairs[at : at + together] for at in range(0, len(pairs), together)]
    read = [exchanged_logits(model, encoder, part, blocks, exchanges).float().cpu()[..., rows] for part in parts]
    by_block = [best_letters(logits, items) for logits in torch.cat(read).unbind(1)]
    return [dict(enumerate(letters, start=1)) for letters in zip(*by_block, strict=True)]


def exchanged_logits(
    model: Any,
    encoder: TextEncoder,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    blocks: int,
    exchanges: Sequence[Collection[int]],
) -> torch.Tensor:
    """Return the logits [pairs, exchanges, vocabulary] at the prefix's last token, for pairs (A, B) of prompts.

    An exchange names the blocks, 1 to `blocks`, that are B's; the others are A's.
    """
    contract = encoder.contract
    rows = [_row(a, b, blocks * [contract.block], len(exchanges) * [contract.prefix]) for a, b in pairs]
    sees = _sees(blocks, exchanges)
    return masked_logits(model, rows, sees, range(len(sees) - len(exchanges), len(sees)))


def _row(
    a: Sequence[int], b: Sequence[int], memory: Sequence[Sequence[int]], prefixes: Sequence[Sequence[int]]
) -> list[Part]:
    """Return a row's parts; positions start where the longer question begins."""
    end = max(len(a), len(b))
    starts = [end + sum(map(len, memory[:before])) for before in range(len(memory) + 1)]
    questions = [Part(a, end - len(a)), Part(b, end - len(b))]
    own = [Part(block, start) for block, start in zip(memory, starts, strict=False)]
    return [*questions, *own, *own, *(Part(prefix, starts[-1]) for prefix in prefixes)]


def _sees(blocks: int, exchanges: Sequence[Collection[int]]) -> torch.Tensor:
    """Return which part of a row sees which, bool [parts, parts]; causality does the rest."""
    a, b, own, others = 0, 1, range(2, 2 + blocks), range(2 + blocks, 2 + 2 * blocks)
    sees = torch.eye(2 + 2 * blocks + len(exchanges), dtype=torch.bool)
    for question, memory in ((a, own), (b, others)):
        for block in memory:
            sees[block, [question, *memory]] = True
    for prefix, exchange in enumerate(exchanges, start=2 + 2 * blocks):
        read = [others[at] if at + 1 in exchange else own[at] for at in range(blocks)]
        sees[prefix, [a, *read]] = True
    return sees
