"""What QThink's loss is made of: -log p of the text, and the latent steps' distance to a teacher's states.

One prefill of the prompts, K passes of one position each, one pass over the texts, all through the keys and
values of what went before, and all with gradients. Of each row come 1 + K terms: the text's -log p, a mean over
its tokens, then for each latent step the mean |state - teacher's state| over the channels. A text's first token is
predicted behind the last latent step, as QThink's cards decode it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rim_edge.methods.qthink.head import HEAD
from rim_edge.methods.qthink.samples import LatentBatch
from rim_edge.methods.token_nll import token_nll
from rim_edge.model.cache_keyword import cache_keyword
from rim_edge.recipe.switches import Match


class LatentTerms(nn.Module):
    """Gives the terms of a batch."""

    def __init__(self, model: Any, steps: int, match: Match) -> None:
        """`model` has a projection head, where there are latent steps."""
        super().__init__()
        self.model = model
        self._steps, self._match = steps, match

    def forward(self, batch: LatentBatch) -> Tensor:
        """Return float32 [rows · (1 + steps)], row by row."""
        reading = _Reading(self.model, batch)
        state = reading.read_prompts()
        matched = []
        for _ in range(self._steps):
            vector = getattr(self.model, HEAD)(state)
            state = reading.read_vectors(vector)
            matched.append(vector if self._match is Match.PROJECTED else state)
        nll = self._text_nll(reading.read_texts(state), batch)
        distances = [(one.float() - batch.teachers[:, at]).abs().mean(-1) for at, one in enumerate(matched)]
        return torch.stack([nll, *distances], dim=1).flatten()

    def _text_nll(self, states: Tensor, batch: LatentBatch) -> Tensor:
        """Return the mean -log p of each row's text, [rows], from the states before its tokens."""
        written = batch.written
        of_tokens = token_nll(self.model, states[written], batch.texts[written])
        rows = torch.arange(len(written), device=written.device)[:, None].expand_as(written)[written]
        sums = torch.zeros(len(written), dtype=of_tokens.dtype, device=written.device)
        return sums.index_add(0, rows, of_tokens) / written.sum(1)


class _Reading:
    """A batch that a model reads, part by part."""

    def __init__(self, model: Any, batch: LatentBatch) -> None:
        from transformers import DynamicCache

        self._base, self._batch, self._cache = model.base_model, batch, DynamicCache()
        self._seen = batch.seen
        self._next = batch.seen.sum(1, keepdim=True)  # position of what is read next, [rows, 1]

    def read_prompts(self) -> Tensor:
        """Return the states at the prompts' last tokens, [rows, hidden]."""
        positions = (self._seen.cumsum(1) - 1).clamp(min=0)
        states = self._pass(self._batch.prompts, None, positions)
        return states[:, -1]

    def read_vectors(self, vectors: Tensor) -> Tensor:
        """Read a vector a row, [rows, hidden], in the place of a token; return the states behind, alike."""
        self._see(1)
        states = self._pass(None, vectors[:, None], self._next)
        self._next = self._next + 1
        return states[:, 0]

    def read_texts(self, state: Tensor) -> Tensor:
        """Return the states before each token of the texts, [rows, longest text, hidden]; `state` is the first."""
        read = self._batch.texts[:, :-1]  # the last token is predicted, and not read
        if not read.shape[1]:
            return state[:, None]
        self._see(read.shape[1])
        positions = self._next + torch.arange(read.shape[1], device=read.device)
        return torch.cat([state[:, None], self._pass(read, None, positions)], dim=1)

    def _see(self, count: int) -> None:
        """Let what follows see so many more positions; padding behind a text is seen by padding alone."""
        self._seen = torch.cat([self._seen, self._seen.new_ones(len(self._seen), count)], dim=1)

    def _pass(self, ids: Tensor | None, vectors: Tensor | None, positions: Tensor) -> Tensor:
        out = self._base(
            input_ids=ids,
            inputs_embeds=vectors,
            attention_mask=self._seen,
            position_ids=positions,
            use_cache=True,
            **{cache_keyword(): self._cache},
        )
        return out.last_hidden_state  # type: ignore[no-any-return]
