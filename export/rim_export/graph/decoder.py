"""The decoder: one graph for a prompt, a latent step and every further token (docs/bundle-format.md).

The module is a skeleton like the single pass: weights are bound to its graph afterwards, by the same recipes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from rim_export.checkpoint.geometry import Geometry
from rim_export.graph.cached_attention import CACHED, KeyValue, LayerCache, hold_cache, register_cached_attention
from rim_export.graph.convert import Example, UnboundGraph, tidy, trace, unbound_graph
from rim_export.graph.edit import constant
from rim_export.graph.projection import Projection, use_projections
from rim_export.graph.skeleton import BACKBONE, anatomy_of, skeleton

EMBEDS, KEEP = "inputs_embeds", "num_logits_to_keep"
"""The optional inputs: initializers that callers may override."""
LOGITS, STATE = "logits", "last_hidden_state"
_UNSEEN = -1e30
"""Added to the score of a key that is not seen. Finite: a position of padding sees no key, and stays a number."""


class Decoder(nn.Module):
    """Tokens or vectors, and a cache, in; logits, states and the cache out."""

    def __init__(self, backbone: nn.Module, table: nn.Module, lm_head: Projection) -> None:
        super().__init__()
        self.backbone = backbone
        self.lm_head = lm_head
        self._look_up = table.forward  # the backbone's own table: no module of the decoder
        self._cache = LayerCache()
        hold_cache(backbone, self._cache)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        past: Sequence[KeyValue],
        inputs_embeds: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, list[KeyValue]]:
        """Return logits and states after the last norm, of all positions, and each layer's keys and values."""
        batch, total = attention_mask.shape
        self._cache.begin(past, batch, total)
        own = self._look_up(input_ids.clamp(min=0))
        states: torch.Tensor = self.backbone(
            inputs_embeds=torch.where((input_ids < 0)[:, :, None], inputs_embeds, own),
            attention_mask=_seen_scores(attention_mask, input_ids.shape[1]),
            position_ids=position_ids,
            use_cache=False,
        ).last_hidden_state
        return self.lm_head(states), states, self._cache.end()


def _seen_scores(attention_mask: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return what is added to scores, fp32 [batch, 1, tokens, total]: 0 where the mask is not 0.

    Keys behind a position need no score: the operator leaves them out.
    """
    unseen = (attention_mask == 0)[:, None, None, :].expand(-1, -1, tokens, -1)
    return torch.where(unseen, _UNSEEN, 0.0)


def convert_decoder(config: Any, sizes: Geometry) -> UnboundGraph:
    """Return the decoder graph of a transformers config, opset 23; all lengths and the batch are dynamic."""
    register_cached_attention()
    language_model = skeleton(config, CACHED)
    backbone, table = language_model.base_model, language_model.get_input_embeddings()
    name = anatomy_of(language_model).table
    use_projections(backbone)
    module = Decoder(backbone, table, Projection(sizes.width, sizes.vocabulary)).eval()
    model = trace(module, _example(sizes))
    _keep_last_positions(model.graph)
    embeds = _give_default(model.graph, EMBEDS, np.zeros((1, 1, sizes.width), np.float32))
    embeds.shape = ir.Shape(["vector_batch", "vector_sequence", sizes.width])  # the default's differ from the ids'
    tidy(model, "rim_decoder")
    return unbound_graph(model, module, f"{BACKBONE}.{name}")


def _example(sizes: Geometry) -> Example:
    """Return what it is traced with: no tensor twice, since torch takes equal objects for one input."""
    batch, tokens, past, layers = 2, 3, 5, sizes.layers
    kept = (batch, sizes.key_value_heads, past, sizes.head_size)
    sequence, cache = {0: "batch", 1: "sequence"}, {0: "batch", 2: "past"}
    return Example(
        (
            torch.zeros(batch, tokens, dtype=torch.int64),
            torch.ones(batch, past + tokens, dtype=torch.int64),
            torch.zeros(batch, tokens, dtype=torch.int64),
            [(torch.zeros(kept), torch.zeros(kept)) for _ in range(layers)],
            torch.zeros(1, 1, sizes.width),  # without names: no length is read off what may be left out
        ),
        (sequence, {0: "batch", 1: "total"}, sequence, [(cache, cache)] * layers, {}),
        ("input_ids", "attention_mask", "position_ids", *_cache_names("past_key_values", layers), EMBEDS),
        (LOGITS, STATE, *_cache_names("present", layers)),
    )


def _cache_names(kind: str, layers: int) -> list[str]:
    return [f"{kind}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


def _keep_last_positions(graph: ir.Graph) -> None:
    """Read out the last positions alone, as many as `num_logits_to_keep` says: 1 unless it is given, 0: all."""
    state = next(value for value in graph.outputs if value.name == STATE)
    norm = state.producer()
    assert norm is not None
    keep = ir.Value(name=KEEP, shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT64))
    graph.inputs.append(keep)
    _give_default(graph, KEEP, np.array(1, np.int64))
    axis, end = constant(graph, f"{KEEP}_axis", np.array([1])), constant(graph, f"{KEEP}_end", np.array([2**62]))
    first = ir.node("Neg", [keep])
    start = ir.node("Reshape", [first.outputs[0], axis])  # [1] is a shape too
    last = ir.node("Slice", [state, start.outputs[0], end, axis])
    kept = last.outputs[0]
    kept.type, kept.shape = state.type, ir.Shape([state.shape[0], "kept", state.shape[2]])  # type: ignore[index]
    state.name, kept.name = f"{STATE}_all", STATE
    ir.convenience.replace_all_uses_with(state, kept, replace_graph_outputs=True)
    last.replace_input_with(0, state)
    graph.insert_after(norm, [first, start, last])
    for value in graph.outputs:
        if value.name == LOGITS:
            value.shape = ir.Shape([state.shape[0], "kept", value.shape[2]])  # type: ignore[index]


def _give_default(graph: ir.Graph, name: str, default: np.ndarray) -> ir.Value:
    """Make an input optional, and return it: an initializer of its name is its default."""
    value = next(value for value in graph.inputs if value.name == name)
    value.const_value = ir.Tensor(default, name=name)
    graph.register_initializer(value)
    return value
