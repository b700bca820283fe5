"""Check the values of a config.json before a library builds a model from them and fails with its own message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rim_export.errors import CheckpointError

_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "max_position_embeddings",
)
"""Entries for the model's size; every config.json has them."""
_LARGEST = 2**24
"""More than any model's width, vocabulary or context; larger values need more memory than any machine has."""


def check_values(config: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless a model can have the config's sizes and switches."""
    for name in _SIZES:
        _require_size(name, config.get(name))
    if "head_dim" in config:
        _require_size("head_dim", config["head_dim"])
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    if heads % shared:
        raise _impossible("num_key_value_heads", shared, f"a divisor of num_attention_heads, {heads}")
    _require_number("rms_norm_eps", config.get("rms_norm_eps", 1e-6))
    _require_number("rope_theta", config.get("rope_theta", 1.0))
    for name, kind, words in (
        ("tie_word_embeddings", bool, "true or false"),
        ("hidden_act", str, "the name of a function"),
        ("layer_types", list, "one name for each layer"),
        ("rope_parameters", dict, "an object"),
        ("rope_scaling", dict, "an object"),
    ):
        value = config.get(name)
        if value is not None and not isinstance(value, kind):
            raise _impossible(name, value, words)
    _check_layer_types(config)


def _check_layer_types(config: Mapping[str, Any]) -> None:
    kinds, layers = config.get("layer_types"), config["num_hidden_layers"]
    if kinds is not None and (len(kinds) != layers or not all(isinstance(kind, str) for kind in kinds)):
        raise _impossible("layer_types", kinds, f"{layers} names, one for each layer")


def _require_size(name: str, value: object) -> None:
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise _impossible(name, value, f"a whole number from 1 to {_LARGEST:,}")


def _require_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise _impossible(name, value, "a number above 0")


def _impossible(name: str, value: object, expected: str) -> CheckpointError:
    return CheckpointError(
        f"config.json has {name} = {str(value)[:60]}, expected {expected}. Copy it from its source again."
    )
