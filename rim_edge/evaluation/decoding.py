"""Text of a checkpoint, token by token, many prompts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rim_edge.evaluation.way import Draws
from rim_edge.model.cache_keyword import cache_keyword

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


class Chooser:
    """Draws tokens; of equal seeds the same."""

    def __init__(self, draws: Draws) -> None:
        self._draws, self._random = draws, torch.Generator().manual_seed(draws.seed)

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Return an id a row, [rows], from logits [rows, vocabulary]."""
        shares = (logits.float().cpu() / self._draws.temperature).softmax(-1)
        if self._draws.top_p < 1:
            ordered, order = shares.sort(-1, descending=True)
            ordered[ordered.cumsum(-1) - ordered >= self._draws.top_p] = 0
            shares = torch.zeros_like(shares).scatter(-1, order, ordered)
        return torch.multinomial(shares, 1, generator=self._random)[:, 0].to(logits.device)


@dataclass(frozen=True)
class LatentSteps:
    """Latent steps between a prompt and its text."""

    count: int
    """K."""
    project: Callable[[torch.Tensor], torch.Tensor]
    """From the states behind a position, [rows, hidden], to the vectors that are read at the next."""
    end: tuple[int, ...] = ()
    """Tokens that are read behind the steps."""


NO_STEPS = LatentSteps(0, lambda states: states)
"""The text follows its prompt."""


def decoded(
    model: Any,
    prompts: Sequence[Sequence[int]],
    end: int,
    tokens: int,
    decoding: Decoding = GREEDY,
    latent: LatentSteps = NO_STEPS,
) -> list[list[int]]:
    """Return the ids that the model writes after every prompt, `tokens` at most, without the `end` token."""
    written: list[list[int]] = [[] for _ in prompts]
    by_length = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for at in range(0, len(prompts), _BATCH):
        places = by_length[at : at + _BATCH]
        reading = _Reading(model, [prompts[place] for place in places], latent)
        rows = _written(reading, end, tokens, decoding)
        for place, row in zip(places, rows, strict=True):
            written[place] = row
    return written


@torch.no_grad()
def _written(reading: _Reading, end: int, tokens: int, decoding: Decoding) -> list[list[int]]:
    """Return what is written after some prompts, each up to its own end."""
    rows: list[list[int]] = [[] for _ in range(reading.count)]
    running = set(range(reading.count))
    for number in range(tokens):
        best = decoding.choose(reading.logits)
        decoding.on_token()
        for row, token in enumerate(best.tolist()):
            if row not in running:
                continue
            if token != end:
                rows[row].append(token)
            if token == end or decoding.has_ended(rows[row]):
                running.remove(row)
        if not running or number == tokens - 1:
            break
        reading.read(best[:, None])
    return rows


class _Reading:
    """Prompts that a model has read, padded on the left, and what it read behind them."""

    @torch.no_grad()
    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], latent: LatentSteps) -> None:
        from transformers import DynamicCache

        self.count, self._model, self._cache = len(prompts), model, DynamicCache()
        padding = [max(map(len, prompts)) - len(prompt) for prompt in prompts]
        rows = [[*pad * [0], *prompt] for pad, prompt in zip(padding, prompts, strict=True)]
        seen = [[*pad * [0], *len(prompt) * [1]] for pad, prompt in zip(padding, prompts, strict=True)]
        ids, self._seen = (torch.tensor(values, device=model.device) for values in (rows, seen))
        positions = (self._seen.cumsum(-1) - 1).clamp(min=0)
        self._next = positions[:, -1:] + 1
        self.logits = (
            self._behind_steps(self._states(ids, None, positions), latent)
            if latent.count
            else self._logits(ids, positions)
        )
        """Behind all that was read, [rows, vocabulary]."""

    @torch.no_grad()
    def read(self, ids: torch.Tensor) -> None:
        """Read a token a row, [rows, 1]."""
        self.logits = self._logits(ids, self._one_more())

    def _behind_steps(self, state: torch.Tensor, latent: LatentSteps) -> torch.Tensor:
        """Take latent steps behind a state, [rows, hidden], read the tokens after them, and return the logits."""
        for _ in range(latent.count):
            state = self._states(None, latent.project(state)[:, None], self._one_more())
        for token in latent.end:
            ids = torch.full((self.count, 1), token, device=self._model.device)
            state = self._states(ids, None, self._one_more())
        return self._model.get_output_embeddings()(state)  # type: ignore[no-any-return]

    def _one_more(self) -> torch.Tensor:
        """Make room for another position a row, and return its number, [rows, 1]."""
        self._seen = torch.cat([self._seen, self._seen.new_ones(self.count, 1)], -1)
        self._next = self._next + 1
        return self._next - 1

    def _logits(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Return the logits behind the last of some tokens, [rows, vocabulary]."""
        read = self._model(input_ids=ids, **self._context(positions), logits_to_keep=1)
        return read.logits[:, -1]  # type: ignore[no-any-return]

    def _states(
        self, ids: torch.Tensor | None, vectors: torch.Tensor | None, positions: torch.Tensor
    ) -> torch.Tensor:
        """Return the states behind the last of some tokens or vectors, [rows, hidden]."""
        base = self._model.base_model
        read = base(input_ids=ids, inputs_embeds=vectors, **self._context(positions))
        return read.last_hidden_state[:, -1]  # type: ignore[no-any-return]

    def _context(self, positions: torch.Tensor) -> dict[str, Any]:
        """Return what a pass is told of what was read before."""
        return {
            "attention_mask": self._seen,
            "position_ids": positions,
            cache_keyword(): self._cache,
            "use_cache": True,
        }
