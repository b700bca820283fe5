"""What transformers' models call the keys and values of what they have read: it changed, and so does its place."""

from __future__ import annotations

import inspect
from functools import cache


@cache
def cache_keyword() -> str:
    """Return the keyword of `forward`: `past_key_values` up to transformers 5.23, `cache` from 5.24 on."""
    from transformers import Qwen3ForCausalLM

    known = inspect.signature(Qwen3ForCausalLM.forward).parameters
    return "cache" if "cache" in known else "past_key_values"
