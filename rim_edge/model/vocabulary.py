"""A frozen vocabulary with three rows that learn: the RiM tokens' embeddings, kept outside the matrix.

The matrix itself is never trained, so neither gradients nor weight decay can move its rows; where the head is tied
to it, the head's three columns are the learned rows too, as they will be in the saved checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor, nn

from rim_edge.model.cpu import product


class LearnedRows(nn.Module):
    """The rows of some tokens, float32 [tokens, hidden], and the tokens' ids."""

    def __init__(self, matrix: Tensor, tokens: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.tensor(tokens), persistent=False)
        self.weight = nn.Parameter(matrix[self.tokens].detach().clone())

    tokens: Tensor


class FrozenEmbedding(nn.Module):
    """An embedding whose matrix is frozen except for the learned rows."""

    def __init__(self, embedding: nn.Embedding, rows: LearnedRows) -> None:
        super().__init__()
        self.matrix = embedding.weight.requires_grad_(False)
        self.rows = rows
        self.num_embeddings = embedding.num_embeddings

    @property
    def weight(self) -> Tensor:
        """The frozen matrix, [vocabulary, hidden]."""
        return self.matrix

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings [..., hidden] of ids [...]."""
        found = ids[..., None] == self.rows.tokens  # (..., tokens)
        learned = self.rows.weight[found.long().argmax(-1)]
        return torch.where(found.any(-1, keepdim=True), learned, F.embedding(ids, self.matrix))


class FrozenHead(nn.Module):
    """A head tied to that embedding."""

    def __init__(self, embedding: FrozenEmbedding) -> None:
        super().__init__()
        self.matrix, self.rows = embedding.matrix, embedding.rows

    @property
    def weight(self) -> Tensor:
        """The frozen matrix, [vocabulary, hidden]."""
        return self.matrix

    def forward(self, states: Tensor) -> Tensor:
        """Return the logits [..., vocabulary] of states [..., hidden]."""
        logits = product(states, self.matrix)
        learned = product(states, self.rows.weight).to(logits.dtype)
        return logits.index_copy_(-1, self.rows.tokens, learned)


def freeze_vocabulary(model: Any, tokens: Sequence[int]) -> None:
    """Freeze embedding and head in place, except for the embeddings of `tokens`, which start as they are."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head.weight is embedding.weight
    head.weight.requires_grad_(False)
    embedding.weight.requires_grad_(False)
    if not tokens:
        return
    frozen = FrozenEmbedding(embedding, LearnedRows(embedding.weight, tokens))
    model.set_input_embeddings(frozen)
    if tied:
        model.set_output_embeddings(FrozenHead(frozen))


def thaw_vocabulary(model: Any) -> None:
    """Undo freeze_vocabulary: plain embedding and head again, the learned rows in their matrix."""
    frozen, head = model.get_input_embeddings(), model.get_output_embeddings()
    if not isinstance(frozen, FrozenEmbedding):  # no row has learned
        return
    with torch.no_grad():
        matrix = frozen.matrix.index_copy(0, frozen.rows.tokens, frozen.rows.weight)
    embedding = nn.Embedding(matrix.shape[0], matrix.shape[1], _weight=matrix)
    model.set_input_embeddings(embedding)
    if isinstance(head, FrozenHead):
        plain = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False, device="meta")
        plain.weight = embedding.weight
        model.set_output_embeddings(plain)
