"""The decoder's attention: one `GroupQueryAttention` node a layer, over a cache outside the graph.

ONNX Runtime's operator writes new keys and values into the buffer that holds the old ones, if past and present are
bound to one buffer; the standard `Attention` copies the whole cache for each token. transformers' own caches are
not traced: all attention modules of a backbone hold one LayerCache, whose tensors are the inputs and outputs of
the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface

from rim_export.graph.attention import no_mask, require_plain

CACHED = "rim_cached"
"""The name under which transformers knows it."""
KeyValue: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""A layer's keys and values, each [batch, key_value_heads, length, head_size]."""


@dataclass
class LayerCache:
    """Keys and values of all layers while the backbone runs once."""

    past: Sequence[KeyValue] = ()
    """What earlier runs saw, by the layers' numbers."""
    total: int = 0
    """Length of the context: the past and this run's tokens."""
    last: torch.Tensor | None = None
    """int32 [batch]: total - 1, as the operator takes lengths."""
    length: torch.Tensor | None = None
    """int32 scalar: total."""
    present: dict[int, KeyValue] = field(default_factory=dict)
    """The past with this run's tokens, by the layers' numbers."""

    def begin(self, past: Sequence[KeyValue], batch: int, total: int) -> None:
        """Take what earlier runs saw."""
        self.past, self.total, self.present = past, total, {}
        self.last = torch.full((batch,), total - 1, dtype=torch.int32)
        self.length = torch.full((), total, dtype=torch.int32)

    def end(self) -> list[KeyValue]:
        """Return every layer's keys and values, and forget them."""
        found = [self.present[number] for number in range(len(self.past))]
        self.past, self.present = (), {}
        return found


def hold_cache(backbone: nn.Module, cache: LayerCache) -> None:
    """Let a backbone's attention modules find the cache."""
    for module in backbone.modules():
        if hasattr(module, "layer_idx"):
            module.rim_cache = cache  # type: ignore[assignment]


def register_cached_attention() -> None:
    """Add our attention to transformers."""
    AttentionInterface.register(CACHED, _cached_attention)
    AttentionMaskInterface.register(CACHED, no_mask)


def _cached_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    require_plain(others, dropout, no_mask=attention_mask is None)
    cache: LayerCache = module.rim_cache
    batch, heads, tokens, size = query.shape
    stored = (batch, key.shape[1], cache.total, size)
    inputs = (*map(_flat, (query, key, value)), *cache.past[module.layer_idx], cache.last, cache.length)
    attributes = {"num_heads": heads, "kv_num_heads": key.shape[1], "scale": scaling or size**-0.5}
    output, *present = torch.onnx.ops.symbolic_multi_out(
        "com.microsoft::GroupQueryAttention",
        (*inputs, None, None, None, attention_mask),  # without cosines, sines and positions: keys are rotated
        attributes,
        dtypes=(query.dtype,) * 3,
        shapes=((batch, tokens, heads * size), stored, stored),
        version=1,
    )
    cache.present[module.layer_idx] = (present[0], present[1])
    return output.reshape(batch, tokens, heads, size), None


def _flat(states: torch.Tensor) -> torch.Tensor:
    """[batch, heads, tokens, size] -> [batch, tokens, heads × size]."""
    return states.transpose(1, 2).flatten(2)
