"""Greedy decoding of many prompts: those of one length together, so that nothing is padded or masked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch

_BATCH = 64


def decoded(model: Any, prompts: Sequence[Sequence[int]], end: int, tokens: int) -> list[list[int]]:
    """Return the ids that the model writes behind every prompt, `tokens` at most, without the `end` token."""
    written: list[list[int]] = [[] for _ in prompts]
    for places in _batches(prompts):
        rows = _written(model, [prompts[place] for place in places], end, tokens)
        for place, row in zip(places, rows, strict=True):
            written[place] = row[: row.index(end)] if end in row else row
    return written


def _batches(prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Give the places of prompts of one length, some at a time."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        by_length[len(prompt)].append(place)
    for places in by_length.values():
        yield from (places[at : at + _BATCH] for at in range(0, len(places), _BATCH))


@torch.no_grad()
def _written(model: Any, prompts: Sequence[Sequence[int]], end: int, tokens: int) -> list[list[int]]:
    """Return what is written behind prompts of one length, until every row has ended."""
    ids, cache = torch.tensor(prompts, device=model.device), None
    columns: list[list[int]] = []
    running = torch.ones(len(prompts), dtype=torch.bool)
    while running.any() and len(columns) < tokens:
        out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, best = out.past_key_values, out.logits[:, -1].argmax(-1)
        columns.append(best.tolist())
        running &= best.cpu() != end
        ids = best[:, None]
    return [list(row) for row in zip(*columns, strict=True)]
