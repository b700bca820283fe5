"""Text of a checkpoint, token by token, many prompts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

_BATCH = 64
"""Prompts in one pass."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen and when a text has ended, besides at the end token and at its limit."""

    choose: Callable[[torch.Tensor], torch.Tensor] = lambda logits: logits.argmax(-1)
    """From logits [rows, vocabulary] to ids [rows]."""
    has_ended: Callable[[Sequence[int]], bool] = lambda ids: False
    """Whether a text is whole, from its ids so far."""
    on_token: Callable[[], None] = lambda: None
    """Called after each token of the rows."""


GREEDY = Decoding()
"""The likeliest token, up to the end."""


def decoded(
    model: Any, prompts: Sequence[Sequence[int]], end: int, tokens: int, decoding: Decoding = GREEDY
) -> list[list[int]]:
    """Return the ids that the model writes after every prompt, `tokens` at most, without the `end` token."""
    written: list[list[int]] = [[] for _ in prompts]
    by_length = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for at in range(0, len(prompts), _BATCH):
        places = by_length[at : at + _BATCH]
        rows = _written(model, [prompts[place] for place in places], end, tokens, decoding)
        for place, row in zip(places, rows, strict=True):
            written[place] = row
    return written


@torch.no_grad()
def _written(
    model: Any, prompts: Sequence[Sequence[int]], end: int, tokens: int, decoding: Decoding
) -> list[list[int]]:
    """Return what is written after some prompts, each up to its own end."""
    from transformers import DynamicCache

    padding = [max(map(len, prompts)) - len(prompt) for prompt in prompts]
    ids = _rows([[*pad * [0], *prompt] for pad, prompt in zip(padding, prompts, strict=True)], model)
    seen = _rows([[*pad * [0], *len(prompt) * [1]] for pad, prompt in zip(padding, prompts, strict=True)], model)
    positions, cache = (seen.cumsum(-1) - 1).clamp(min=0), DynamicCache()
    rows: list[list[int]] = [[] for _ in prompts]
    running = set(range(len(prompts)))
    for _ in range(tokens):
        # By place: the keyword of the cache is `past_key_values` up to transformers 5.23, `cache` from 5.24 on.
        logits = model(ids, seen, positions, cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        best = decoding.choose(logits)
        decoding.on_token()
        for row, token in enumerate(best.tolist()):
            if row not in running:
                continue
            if token != end:
                rows[row].append(token)
            if token == end or decoding.has_ended(rows[row]):
                running.remove(row)
        if not running:
            break
        ids, positions = best[:, None], positions[:, -1:] + 1
        seen = torch.cat([seen, torch.ones_like(ids)], -1)
    return rows


def _rows(values: list[list[int]], model: Any) -> torch.Tensor:
    return torch.tensor(values, device=model.device)
