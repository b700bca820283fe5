"""Check the values of a config.json before a library builds a model from them and fails with its own message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rim_export.checkpoint.geometry import OPTIONAL, Geometry, spelling
from rim_export.errors import CheckpointError

_LARGEST = 2**24
"""More than any model's width, vocabulary or context; larger values need more memory than any machine has."""


def check_values(config: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless a model can have the config's sizes and switches."""
    names = spelling(str(config["model_type"]))
    for field, name in names.items():
        if field not in OPTIONAL or config.get(name) is not None:
            _require_size(name, config.get(name))
    sizes = Geometry.of(config)
    if sizes.heads % sizes.key_value_heads:
        expected = f"a divisor of {names['heads']}, {sizes.heads}"
        raise _impossible(names["key_value_heads"], sizes.key_value_heads, expected)
    if config.get("sliding_window") is not None:
        _require_size("sliding_window", config["sliding_window"])
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
    _check_layer_types(config, sizes.layers)


def _check_layer_types(config: Mapping[str, Any], layers: int) -> None:
    kinds = config.get("layer_types")
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
