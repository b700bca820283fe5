"""A model's sizes, whatever its family's config.json calls them.

optimum's NormalizedConfigManager spells the names of most; ours are added where it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_OPTIMUM = {
    "layers": "NUM_LAYERS",
    "width": "HIDDEN_SIZE",
    "heads": "NUM_ATTENTION_HEADS",
    "vocabulary": "VOCAB_SIZE",
}
"""Our words, and optimum's."""
_OURS = {
    "key_value_heads": "num_key_value_heads",
    "head_size": "head_dim",
    "inner": "intermediate_size",
    "positions": "max_position_embeddings",
}
"""Our words for what optimum has none for, and how most families spell it."""
_ROWS: Mapping[str, Mapping[str, str]] = {
    "gpt2": {"layers": "n_layer", "inner": "n_inner", "positions": "n_positions"}
}
"""Families that spell something otherwise."""
OPTIONAL = ("key_value_heads", "head_size", "inner")
"""Sizes that a config.json may leave out: they follow from the others."""


@lru_cache
def spelling(family: str) -> Mapping[str, str]:
    """Return the names that a family's config.json has for the fields of Geometry. Raises KeyError if unknown."""
    from optimum.utils import NormalizedConfigManager

    normalized = NormalizedConfigManager.get_normalized_config_class(family)({})
    known = {ours: str(getattr(normalized, theirs)) for ours, theirs in _OPTIMUM.items()}
    return known | _OURS | dict(_ROWS.get(family, {}))


@dataclass(frozen=True)
class Geometry:
    """The sizes of a decoder."""

    layers: int
    """Its layers."""
    width: int
    """Channels of the residual stream."""
    heads: int
    """Query heads of a layer."""
    key_value_heads: int
    """Key heads of a layer, which query heads share."""
    head_size: int
    """Channels of a head."""
    inner: int
    """Channels inside an MLP."""
    vocabulary: int
    """Rows of the embedding table."""
    positions: int
    """The longest prompt, in tokens."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Geometry:
        """Return the sizes in a checked config.json."""
        given: dict[str, Any] = {
            field: config.get(name) for field, name in spelling(str(config["model_type"])).items()
        }
        implied = {
            "key_value_heads": given["heads"],
            "head_size": given["width"] // given["heads"],
            "inner": 4 * given["width"],
        }
        return cls(**{field: implied[field] if value is None else value for field, value in given.items()})
