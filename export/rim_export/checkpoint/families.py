"""The model families that can be exported, as data: what a config.json may contain.

Everything else is refused by name: a graph that ignored an option would answer wrongly without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from rim_export.checkpoint.values import check_values
from rim_export.errors import UnsupportedModelError


@dataclass(frozen=True)
class Refusal:
    """One option of a config.json that this release does not export."""

    option: str
    """The option's name, as the config spells it."""
    applies: Callable[[Mapping[str, Any]], bool]
    """Whether this config uses it."""


def _scales_rope(config: Mapping[str, Any], but: str = "default") -> bool:
    """Whether RoPE is scaled, in both spellings: `rope_scaling` (transformers 4), `rope_parameters` (5)."""
    entries = [
        entry for entry in map(config.get, ("rope_scaling", "rope_parameters")) if isinstance(entry, Mapping)
    ]
    inner = [value for entry in entries for value in entry.values() if isinstance(value, Mapping)]
    kinds = {entry.get("rope_type") or entry.get("type") for entry in (*entries, *inner)}
    return bool(kinds - {"default", but, None})


def _has_rope_by_layer(config: Mapping[str, Any]) -> bool:
    """Whether RoPE has parameters of its own for each type of layer, as in models that mix types of attention."""
    entry = config.get("rope_parameters")
    return isinstance(entry, Mapping) and any(isinstance(value, Mapping) for value in entry.values())


def _mixes_layers(config: Mapping[str, Any]) -> bool:
    kinds = set(config.get("layer_types") or ())
    return bool(config.get("use_sliding_window")) or bool(kinds - {"full_attention"})


_EVERYWHERE = (
    Refusal("RoPE by type of layer (rope_parameters)", _has_rope_by_layer),
    Refusal("sliding window (use_sliding_window, layer_types)", _mixes_layers),
)
_SCALED_ROPE = Refusal("rope scaling (rope_scaling, rope_parameters)", _scales_rope)
_LLAMA3_ROPE = Refusal("rope scaling other than llama3", partial(_scales_rope, but="llama3"))
_CROSS = Refusal("cross attention (add_cross_attention)", lambda config: bool(config.get("add_cross_attention")))

REFUSALS: Mapping[str, tuple[Refusal, ...]] = {
    "gpt2": (*_EVERYWHERE, _CROSS),
    "llama": (*_EVERYWHERE, _LLAMA3_ROPE),
    "mistral": (*_EVERYWHERE, _SCALED_ROPE),
    "olmo2": (*_EVERYWHERE, _SCALED_ROPE),
    "phi3": (*_EVERYWHERE, _SCALED_ROPE),
    "qwen2": (*_EVERYWHERE, _SCALED_ROPE),
    "qwen3": (*_EVERYWHERE, _SCALED_ROPE),
    "smollm3": (*_EVERYWHERE, _SCALED_ROPE),
}
"""Supported `model_type`s, and the options refused in each."""

_WINDOWED: Mapping[str, int | None] = {"mistral": 4096, "phi3": None}
"""Families whose layers may all see the last tokens alone; so many, where config.json has no entry."""

_SOFTCAP = "softcap, norms with gains of 1 + w, sliding windows"
_EXPERTS = "a mixture of experts"
_LACKING: Mapping[str, str] = {
    "gemma": "norms with gains of 1 + w",
    "gemma2": _SOFTCAP,
    "gemma3": "images, norms with gains of 1 + w, sliding windows",
    "gemma3_text": "norms with gains of 1 + w, sliding windows",
    "gpt_oss": f"{_EXPERTS}, attention sinks, sliding windows",
    "mixtral": _EXPERTS,
    "olmoe": _EXPERTS,
    "phimoe": _EXPERTS,
    "qwen2_moe": _EXPERTS,
    "qwen3_moe": _EXPERTS,
}
"""What well-known families have and no graph here computes."""


def window_of(config: Mapping[str, Any]) -> int | None:
    """Return how many of the last tokens a token sees, itself included, in a checked config.json; None: all.

    Graphs have no window: what is longer must not be asked.
    """
    kind = str(config["model_type"])
    return config.get("sliding_window", _WINDOWED[kind]) if kind in _WINDOWED else None


def check_architecture(config: Mapping[str, Any]) -> None:
    """Raise UnsupportedModelError unless this config.json has a family and only options that can be exported.

    Raises CheckpointError for a value that no model can have.
    """
    kind = str(config.get("model_type"))
    if kind not in REFUSALS:
        lacking = f" ({_LACKING[kind]})" if kind in _LACKING else ""
        raise UnsupportedModelError(
            f"The checkpoint's model_type is {kind!r}{lacking}, supported: {', '.join(sorted(REFUSALS))}. "
            "Other families cannot be exported yet."
        )
    check_values(config)
    for refusal in REFUSALS[kind]:
        if refusal.applies(config):
            raise UnsupportedModelError(
                f"The checkpoint uses {refusal.option}, which the {kind} export does not support yet. "
                "Use a checkpoint without it."
            )
