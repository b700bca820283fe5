"""Greedy decoding of many prompts: those of similar length together, padded in front and masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

_BATCH = 64


def decoded(model: Any, prompts: Sequence[Sequence[int]], end: int, tokens: int) -> list[list[int]]:
    """Return the ids that the model writes behind every prompt, `tokens` at most, without the `end` token."""
    written: list[list[int]] = [[] for _ in prompts]
    by_length = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for at in range(0, len(prompts), _BATCH):
        places = by_length[at : at + _BATCH]
        rows = _written(model, [prompts[place] for place in places], end, tokens)
        for place, row in zip(places, rows, strict=True):
            written[place] = row[: row.index(end)] if end in row else row
    return written


@torch.no_grad()
def _written(model: Any, prompts: Sequence[Sequence[int]], end: int, tokens: int) -> list[list[int]]:
    """Return what is written behind some prompts, until every row has ended."""
    padding = [max(map(len, prompts)) - len(prompt) for prompt in prompts]
    ids = _rows([[*pad * [0], *prompt] for pad, prompt in zip(padding, prompts, strict=True)], model)
    seen = _rows([[*pad * [0], *len(prompt) * [1]] for pad, prompt in zip(padding, prompts, strict=True)], model)
    positions, cache = (seen.cumsum(-1) - 1).clamp(min=0), None
    columns: list[list[int]] = []
    running = torch.ones(len(prompts), dtype=torch.bool)
    while running.any() and len(columns) < tokens:
        place = {"attention_mask": seen, "position_ids": positions}
        out = model(input_ids=ids, **place, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, best = out.past_key_values, out.logits[:, -1].argmax(-1)
        columns.append(best.tolist())
        running &= best.cpu() != end
        ids, positions = best[:, None], positions[:, -1:] + 1
        seen = torch.cat([seen, torch.ones_like(ids)], -1)
    return [list(row) for row in zip(*columns, strict=True)]


def _rows(values: list[list[int]], model: Any) -> torch.Tensor:
    return torch.tensor(values, device=model.device)
