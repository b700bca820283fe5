"""A transformers model's own forward, with one stub in place of its layers.

What the model gives its first layer (embedded states, rotary positions, masks) is taken there, and states that
went through the layers one by one are put back there, for its own norm and head to read out. So nothing of a
family's own is repeated here, nor shared with the graph that is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rim_export.graph.skeleton import OWN_ATTENTION, skeleton
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class LayerInputs:
    """What a model gives its layers for a batch of this shape."""

    hidden: torch.Tensor
    """Its embedded prompts, fp32 (prompts, length, hidden)."""
    arguments: Sequence[Any]
    """Further arguments."""
    keywords: Mapping[str, Any]
    """Keyword arguments: positions and their embeddings, the mask, …"""


class _Stub(nn.Module):
    """Stands in for all layers: keeps what it is given, and returns it, or other states if there are any."""

    def __init__(self) -> None:
        super().__init__()
        self.given: LayerInputs | None = None
        self.states: torch.Tensor | None = None

    def forward(self, hidden: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        self.given = LayerInputs(hidden, arguments, keywords)
        return hidden if self.states is None else self.states


class OwnForward:
    """A checkpoint's model without its layers; everything else of it has its weights, in fp32."""

    def __init__(self, weights: ModelWeights) -> None:
        self._weights = weights
        self._model = skeleton(weights.checkpoint.load_config(), OWN_ATTENTION)
        self._embedding = self._model.get_input_embeddings()
        self._embedding.padding_idx = None  # ids are renumbered
        self._stub = _Stub()
        self._known: dict[tuple[int, int], LayerInputs] = {}
        anatomy = weights.anatomy
        self.layers: nn.ModuleList = self._model.base_model.get_submodule(anatomy.layers)
        """transformers' own layers, without weights."""
        self._model.base_model.set_submodule(anatomy.layers, nn.ModuleList([self._stub]))
        self._load_rest()

    def embed(self, ids: torch.Tensor, vectors: torch.Tensor | None = None) -> torch.Tensor:
        """Return the states that enter the first layer, fp32 (prompts, length, hidden), from ids.

        Where an id is negative, the vector there is taken in its place, of fp32 (prompts, length, hidden).
        """
        used, numbers = torch.unique(ids.clamp(min=0), return_inverse=True)
        table = self._weights.stored(self._table)
        self._set_table(table[used].float())
        if vectors is None:
            return self._give(numbers).hidden
        mixed = torch.where((ids < 0)[:, :, None], vectors, self._embedding(numbers))
        self._model.base_model(inputs_embeds=mixed, use_cache=False)
        assert self._stub.given is not None
        return self._stub.given.hidden

    def inputs(self, prompts: int, length: int) -> LayerInputs:
        """Return what layers are given with the states of such a batch; it does not depend on the tokens."""
        if (prompts, length) not in self._known:
            self._set_table(torch.zeros(1, self._embedding.embedding_dim))
            self._known[prompts, length] = self._give(torch.zeros(prompts, length, dtype=torch.int64))
        return self._known[prompts, length]

    def read_out(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the readout of states after the last layer, (prompts, hidden) to fp32 (prompts, rows)."""
        head = self._weights.stored_readout().float()
        own = nn.Linear(head.shape[1], head.shape[0], bias=False, device="meta")
        own.weight = nn.Parameter(head, requires_grad=False)
        self._model.set_output_embeddings(own)
        self._stub.states = states = rows[:, None]
        logits: torch.Tensor = self._model(inputs_embeds=torch.zeros_like(states), use_cache=False).logits
        self._stub.states = None
        return logits[:, -1]

    def final_states(self, rows: torch.Tensor) -> torch.Tensor:
        """Return states after the model's last norm, fp32 (prompts, hidden), of those after the last layer."""
        self._stub.states = states = rows[:, None]
        found: torch.Tensor = self._model.base_model(inputs_embeds=torch.zeros_like(states), use_cache=False)[0]
        self._stub.states = None
        return found[:, -1]

    @property
    def _table(self) -> str:
        anatomy = self._weights.anatomy
        return f"{anatomy.prefix}.{anatomy.table}"

    def _give(self, ids: torch.Tensor) -> LayerInputs:
        self._model.base_model(input_ids=ids, use_cache=False)
        assert self._stub.given is not None
        return self._stub.given

    def _set_table(self, rows: torch.Tensor) -> None:
        self._embedding.weight = nn.Parameter(rows, requires_grad=False)

    def _load_rest(self) -> None:
        """Load what is neither a layer nor the table: the last norm, learned positions."""
        anatomy, backbone = self._weights.anatomy, self._model.base_model
        rest = [name for name, _ in backbone.named_parameters() if name != anatomy.table]
        state = {name: self._weights.stored(f"{anatomy.prefix}.{name}").float() for name in rest}
        backbone.load_state_dict(state, strict=False, assign=True)
        backbone.requires_grad_(False)
