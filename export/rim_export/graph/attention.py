"""The attention of graphs that read whole prompts: one `Attention` node a layer, native GQA.

The single pass is plain causal, without a mask; the trace says by a mask which keys a query sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface

CAUSAL, MASKED = "rim_causal", "rim_masked"
"""The names under which transformers knows them."""
_WITHOUT_EFFECT = frozenset({"position_ids", "use_cache"})
"""What layers pass on to attention, and no attention reads."""


def register_causal_attention() -> None:
    """Add our attention to transformers."""
    AttentionInterface.register(CAUSAL, _causal_attention)
    AttentionMaskInterface.register(CAUSAL, no_mask)


def register_masked_attention() -> None:
    """Add the attention with a mask, bool [batch, 1, queries, keys], True where a key is seen."""
    AttentionInterface.register(MASKED, _masked_attention)
    AttentionMaskInterface.register(MASKED, no_mask)


def _causal_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    require_plain(others, dropout, mask=attention_mask is not None)
    output = nn.functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scaling, enable_gqa=_is_grouped(query, key)
    )
    return output.transpose(1, 2), None


def _masked_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    require_plain(others, dropout, no_mask=attention_mask is None)
    output = nn.functional.scaled_dot_product_attention(
        query, key, value, attention_mask, scale=scaling, enable_gqa=_is_grouped(query, key)
    )
    return output.transpose(1, 2), None


def _is_grouped(query: torch.Tensor, key: torch.Tensor) -> bool:
    """Whether several query heads share a key head: torch's converter refuses GQA where none do."""
    return query.shape[1] != key.shape[1]


def require_plain(others: Mapping[str, Any], dropout: float, **more: bool) -> None:
    """Raise NotImplementedError for what would change the result and our graphs do not compute, such as a window.

    `others` are the options that a model passes on, `more` what else is wrong, by its name.
    """
    given = {name for name, option in others.items() if option is not None} - _WITHOUT_EFFECT
    wrong = sorted(given | {name for name, found in {"dropout": dropout, **more}.items() if found})
    if wrong:
        raise NotImplementedError(f"attention with {', '.join(wrong)} cannot be exported")


def no_mask(*_: Any, **__: Any) -> None:
    """Say that a model need not make a mask."""
    return
