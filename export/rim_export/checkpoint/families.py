"""The model families that can be exported, as data: what a config.json may contain.

Everything else is refused by name: a graph that ignored an option would answer wrongly without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


def _scales_rope(config: Mapping[str, Any]) -> bool:
    """Whether RoPE is scaled, in both spellings: `rope_scaling` (transformers 4), `rope_parameters` (5)."""
    entries = [
        entry for entry in map(config.get, ("rope_scaling", "rope_parameters")) if isinstance(entry, Mapping)
    ]
    inner = [value for entry in entries for value in entry.values() if isinstance(value, Mapping)]
    kinds = {entry.get("rope_type") or entry.get("type") for entry in (*entries, *inner)}
    return bool(kinds - {"default", None})


def _has_rope_by_layer(config: Mapping[str, Any]) -> bool:
    """Whether RoPE has parameters of its own for each type of layer, as in models that mix types of attention."""
    entry = config.get("rope_parameters")
    return isinstance(entry, Mapping) and any(isinstance(value, Mapping) for value in entry.values())


def _slides(config: Mapping[str, Any]) -> bool:
    kinds = set(config.get("layer_types") or ())
    return bool(config.get("use_sliding_window")) or bool(kinds - {"full_attention"})


REFUSALS: Mapping[str, tuple[Refusal, ...]] = {
    "qwen3": (
        Refusal("sliding window (use_sliding_window, layer_types)", _slides),
        Refusal("rope scaling (rope_scaling, rope_parameters)", _scales_rope),
        Refusal("RoPE by type of layer (rope_parameters)", _has_rope_by_layer),
        Refusal("attention bias (attention_bias)", lambda config: bool(config.get("attention_bias"))),
        Refusal("quantized weights (quantization_config)", lambda config: "quantization_config" in config),
    ),
    "llama": (
        Refusal("rope scaling (rope_scaling, rope_parameters)", _scales_rope),
        Refusal("attention bias (attention_bias)", lambda config: bool(config.get("attention_bias"))),
        Refusal("bias in the MLP (mlp_bias)", lambda config: bool(config.get("mlp_bias"))),
        Refusal("quantized weights (quantization_config)", lambda config: "quantization_config" in config),
    ),
}
"""Supported `model_type`s, and the options refused in each."""


def check_architecture(config: Mapping[str, Any]) -> None:
    """Raise UnsupportedModelError unless this config.json has a family and only options that can be exported.

    Raises CheckpointError for a value that no model can have.
    """
    kind = str(config.get("model_type"))
    if kind not in REFUSALS:
        raise UnsupportedModelError(
            f"The checkpoint's model_type is {kind!r}, supported: {', '.join(sorted(REFUSALS))}. "
            "Other families cannot be exported yet."
        )
    check_values(config)
    for refusal in REFUSALS[kind]:
        if refusal.applies(config):
            raise UnsupportedModelError(
                f"The checkpoint uses {refusal.option}, which the {kind} export does not support yet. "
                "Use a checkpoint without it."
            )
