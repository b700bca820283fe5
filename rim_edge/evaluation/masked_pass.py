"""One pass over rows of parts, where a mask says which part sees which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rim_export.checkpoint.families import window_of


@dataclass(frozen=True)
class Part:
    """Some tokens of a row that are seen or not seen together."""

    ids: Sequence[int]
    """Its tokens, one at least where its end is read."""
    first: int
    """The position of its first token; parts may lie at the same positions."""


@torch.no_grad()
def masked_logits(
    model: Any, rows: Sequence[Sequence[Part]], sees: torch.Tensor, read: Sequence[int]
) -> torch.Tensor:
    """Return the logits [rows, read, vocabulary] at the last tokens of the parts that `read` names by place.

    All rows have the same parts, of any length. `sees` bool [parts, parts] says which part sees which, as far as
    that one's tokens come before and lie within the model's sliding window; each should see itself.
    """
    width = max(sum(len(part.ids) for part in row) for row in rows)
    padded = torch.tensor([_tokens(row, width) for row in rows], device=model.device)
    ids, positions, places = padded.unbind(-1)  # each (rows, width)
    mask = _mask(places, sees)
    if (
        window := window_of(model.config.to_dict())
    ) is not None:  # a mask of ours is taken without the model's own
        mask &= _near(positions, window)
    hidden = model.base_model(
        input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
    ).last_hidden_state
    ends = torch.tensor([_ends(row, read) for row in rows], device=model.device)  # (rows, read)
    last = hidden[torch.arange(len(rows), device=model.device)[:, None], ends]
    logits: torch.Tensor = model.get_output_embeddings()(last)
    return logits


def _near(positions: torch.Tensor, window: int) -> torch.Tensor:
    """Return which token lies within another one's window, bool [rows, 1, width, width]."""
    return ((positions[:, :, None] - positions[:, None, :]) < window)[:, None]


def _tokens(row: Sequence[Part], width: int) -> list[tuple[int, int, int]]:
    """Return a row's tokens as (id, position, place of the part), filled up to the width as one part more."""
    tokens = [
        (token, position, place)
        for place, part in enumerate(row)
        for position, token in enumerate(part.ids, start=part.first)
    ]
    return tokens + (width - len(tokens)) * [(0, 0, len(row))]


def _ends(row: Sequence[Part], read: Sequence[int]) -> list[int]:
    return [sum(len(part.ids) for part in row[: place + 1]) - 1 for place in read]


def _mask(places: torch.Tensor, sees: torch.Tensor) -> torch.Tensor:
    """Return the mask bool [rows, 1, width, width]: which token sees which, causally; every token sees itself."""
    with_filler = torch.nn.functional.pad(sees, (0, 1, 0, 1)).to(places.device)
    seen = with_filler[places[:, :, None], places[:, None, :]]
    width = places.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool, device=places.device).tril()
    return (seen & causal | torch.eye(width, dtype=torch.bool, device=places.device))[:, None]
