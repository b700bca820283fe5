"""The checkpoint's own layers in fp32, one layer in memory at a time.

All prompts go through layer 1, then all through layer 2, and so on, in padded batches of similar length. Padding
is at the end and attention is causal, so no row sees it. The layers are transformers' own, with its own attention,
not those of the exported graph. Their linear modules can be watched, and their products replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rim_runtime.engines.shapes import similar_lengths
from torch import nn

from rim_export.graph.projection import Linear, rows_first
from rim_export.measure.own_forward import OwnForward
from rim_export.weights.model_weights import ModelWeights

TOKENS_AT_ONCE = 768
"""Tokens of a batch, padding included. With this many, two cores multiply fp32 at 95 % of their peak (70 % with
one prompt). At 1.7B, an activation stays below 32 MB; from 32 MB on, every allocation causes page faults."""

States = Sequence[torch.Tensor]
"""Hidden states of prompts, each fp32 (length, hidden)."""
Product = Callable[[str, torch.Tensor, torch.Tensor], torch.Tensor]
"""(name of the weight, activations [..., in], weight [out, in]) to products [..., out]."""
Watch = Callable[[str, torch.Tensor], None]
"""Called with the name of a weight and the activations [tokens, in] before their product."""


@dataclass(frozen=True)
class LoadedLayer:
    """One layer with its weights."""

    number: int
    """Its number, from 0."""
    module: Any
    """transformers' module."""
    name: str
    """The graph's name of it."""
    model: OwnForward
    """The model it belongs to, which says what its layers are given."""

    @property
    def linears(self) -> Mapping[str, Linear]:
        """Its linear modules, by their weights' names in the graph."""
        return {
            self.weight_name(name): module
            for name, module in self.module.named_modules()
            if isinstance(module, Linear)
        }

    @property
    def sources(self) -> Mapping[str, nn.Module]:
        """Its linear modules, and the norms of queries and keys, which produce operands of attention."""
        norms = {
            self.weight_name(name): module
            for name, module in self.module.named_modules()
            if "." in name and name.endswith("norm")
        }
        return {**self.linears, **norms}

    def weight_name(self, module: str) -> str:
        """Return the graph's name for the weight of a module of this layer."""
        return f"{self.name}.{module}.weight"

    def advance(
        self, states: States, watch: Watch | None = None, watch_results: Watch | None = None
    ) -> list[torch.Tensor]:
        """Return the hidden states of each prompt after this layer.

        `watch` is called with the inputs of products, `watch_results` with the outputs of its `sources`.
        """
        found: dict[int, torch.Tensor] = {}
        for members in similar_lengths([len(one) for one in states], TOKENS_AT_ONCE):
            before = [states[member] for member in members]
            with self._watched(watch, watch_results, before) if watch else nullcontext():
                after = self._run(_padded(before))
            found |= {member: row[: len(states[member])] for member, row in zip(members, after, strict=True)}
        return [found[member] for member in range(len(states))]

    def _run(self, states: torch.Tensor) -> torch.Tensor:
        given = self.model.inputs(*states.shape[:2])
        result: torch.Tensor = self.module(states, *given.arguments, **given.keywords)
        return result

    @contextmanager
    def _watched(self, watch: Watch, watch_results: Watch | None, states: States) -> Iterator[None]:
        """Call the watchers with inputs of products and outputs of sources, without these states' padding."""
        real = _padded([torch.ones(len(one), dtype=torch.bool) for one in states])
        hooks = [
            module.register_forward_pre_hook(lambda _, inputs, name=name: watch(name, inputs[0][real]))
            for name, module in self.linears.items()
        ]
        if watch_results:
            hooks += [
                module.register_forward_hook(lambda _, __, output, name=name: watch_results(name, output[real]))
                for name, module in self.sources.items()
            ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def replaced(self, product: Product, only: str | None = None) -> Iterator[None]:
        """Let `product` compute the linear modules' products, or only the one with the weight `only`."""
        chosen = {name: module for name, module in self.linears.items() if only in (None, name)}
        own = {module: module.forward for module in chosen.values()}
        for name, module in chosen.items():
            module.forward = partial(_multiply, product, name, module)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for module, forward in own.items():
                module.forward = forward  # type: ignore[method-assign]

    def update_error(self, before: States, after: States, product: Product) -> float:
        """Return the error of the layer's update with other products, relative to the update: the tokens' mean."""
        updates = [exact - start for exact, start in zip(after, before, strict=True)]
        return mean_error(self._advance_with(product, before, None), after, updates)

    def state_error(self, before: States, after: States, product: Product, name: str) -> float:
        """Return the error of the layer's results with one other product, relative to them: the tokens' mean."""
        return mean_error(self._advance_with(product, before, name), after, after)

    def _advance_with(self, product: Product, before: States, only: str | None) -> States:
        with self.replaced(product, only):  # one batch, so that each weight is rounded once
            rough = self._run(_padded(before))
        return [row[: len(start)] for row, start in zip(rough, before, strict=True)]


def mean_error(rough: States, exact: States, relative_to: States) -> float:
    """Return the mean over all tokens of |rough - exact| / |relative_to|, in Euclidean norms.

    Each token counts alike: the first token, which attention falls back on, can be hundreds of times larger than
    the others, and a mean square over all tokens would see that one alone.
    """
    sizes = torch.cat([one.norm(dim=-1) for one in relative_to]).clamp_min(1e-15)
    wrong = torch.cat([(found - expected).norm(dim=-1) for found, expected in zip(rough, exact, strict=True)])
    return float((wrong / sizes).mean())


def _padded(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Rows [length, …] to [rows, longest, …], zeros at the end."""
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def _placed(ids: torch.Tensor, vectors: States) -> torch.Tensor:
    """Return vectors where ids [prompts, length] are negative, and zeros elsewhere: [prompts, length, hidden]."""
    places = torch.zeros(*ids.shape, vectors[0].shape[-1])
    places[ids < 0] = torch.cat(list(vectors))
    return places


def fast_product(module: Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the product with a module's weight, fp32, through oneDNN if torch has it; its bias is added.

    torch multiplies fp32 through MKL, which does not use AMD's AVX-512: 186 GFLOPS on two cores, oneDNN 441.
    """
    weight, bias = rows_first(module).detach(), module.bias
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return partial(nn.functional.linear, weight=weight, bias=bias)
    packed = weight.to_mkldnn()

    def product(activations: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = nn.functional.linear(activations.to_mkldnn(), packed).to_dense()
        return found if bias is None else found + bias

    return product


def _multiply(product: Product, name: str, module: Linear, activations: torch.Tensor) -> torch.Tensor:
    found = product(name, activations, rows_first(module))
    return found if module.bias is None else found + module.bias


class StreamedModel:
    """A checkpoint as a pass over its layers.

    Peak memory: one layer in fp32, the embedding table in its own dtype, and the states that the caller keeps.
    """

    def __init__(self, weights: ModelWeights) -> None:
        self._weights = weights
        self._model = OwnForward(weights)

    def embed(self, prompts: Sequence[Sequence[int]], vectors: States | None = None) -> list[torch.Tensor]:
        """Return the states of each prompt that enter the first layer.

        Negative ids stand for vectors: each prompt's, fp32 (negative ids, hidden), in their order.
        """
        found: dict[int, torch.Tensor] = {}
        for members in similar_lengths([len(one) for one in prompts], TOKENS_AT_ONCE):
            ids = _padded([torch.tensor(prompts[member]) for member in members])
            rows = self._model.embed(ids, None if vectors is None else _placed(ids, [vectors[m] for m in members]))
            found |= {member: row[: len(prompts[member])] for member, row in zip(members, rows, strict=True)}
        return [found[member] for member in range(len(prompts))]

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len(self._model.layers)

    def layers(self) -> Iterator[LoadedLayer]:
        """Yield each layer with its weights, which are freed before the next layer."""
        room: dict[str, torch.Tensor] = {}  # reused by every layer: freed memory is not all returned
        for number, module in enumerate(self._model.layers):
            layer = LoadedLayer(number, module, self._weights.anatomy.layer(number), self._model)
            self._load(layer, room)
            for linear in layer.linears.values():
                linear.forward = fast_product(linear)  # type: ignore[method-assign]
            yield layer
            for linear in layer.linears.values():
                del linear.forward
            module.to("meta")

    def read_out(self, hidden: States) -> torch.Tensor:
        """Return the readout after each prompt's last token, fp32 (prompts, letters or vocabulary)."""
        return self._model.read_out(torch.stack([states[-1] for states in hidden]))

    def final_states(self, hidden: States) -> torch.Tensor:
        """Return the state after the last norm at each prompt's last token, fp32 (prompts, hidden)."""
        return self._model.final_states(torch.stack([states[-1] for states in hidden]))

    def _load(self, layer: LoadedLayer, room: dict[str, torch.Tensor]) -> None:
        """Load a layer's weights in fp32, reusing the tensors in `room` that have their shapes."""
        for name in layer.module.state_dict():
            weight = self._weights.stored(self._weights.anatomy.stored_name(f"{layer.name}.{name}"))
            if name not in room or room[name].shape != weight.shape:
                room[name] = torch.empty(weight.shape, dtype=torch.float32)
            room[name].copy_(weight)
        layer.module.load_state_dict(room, assign=True)
        layer.module.requires_grad_(False)
