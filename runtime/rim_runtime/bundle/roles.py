"""The roles of a bundle's graphs, as its manifest says them (docs/bundle-format.md).

A variant's `graph` is its single pass. Graphs in other roles read the variant's own weights. They stand in
`optional`: a release that knows no roles still answers letters.

    "graphs": [{"role": "decoder", "variant": "int8", "graph": "model.int8.decoder.onnx", "dialect": "ort"}],
    "decoding": {"layers": 30, "key_value_heads": 3, "head_size": 64, …}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rim_runtime.bundle.json_fields import build_known
from rim_runtime.bundle.manifest import Dialect, Manifest, Variant
from rim_runtime.errors import BundleCorruptError

GRAPHS, DECODING, LATENT = "graphs", "decoding", "latent"
"""Their keys in `optional`."""


class Role(StrEnum):
    """What a graph computes."""

    SINGLE_PASS = "single_pass"
    """A letter from a question, in one pass; every variant has it."""
    DECODER = "decoder"
    """The next token, from tokens or vectors and a cache."""
    TRACE = "trace"
    """What is read out behind 0, 1, …, K memory blocks, in one pass."""


class Ability(StrEnum):
    """What a bundle can answer with."""

    LETTER = "letter"
    """One of the offered letters."""
    TEXT = "text"
    """Text, token by token."""
    TRACE = "trace"
    """What it would answer after every memory block."""
    LATENT = "latent"
    """Text behind latent steps (latent.py)."""


class Cache(StrEnum):
    """How decoders keep keys and values."""

    APPENDED = "appended"
    """Each run returns them with the new tokens, copied."""
    BUFFER = "buffer"
    """They may also stay in one buffer, into which new tokens are written."""


@dataclass(frozen=True)
class RoleGraph:
    """A graph in a role other than the single pass's."""

    role: Role
    """What it computes."""
    variant: str
    """Name of the variant whose weights it reads."""
    graph: str
    """File name of the ONNX graph."""
    dialect: Dialect
    """Operators of the graph."""


@dataclass(frozen=True)
class Decoding:
    """What the decoders of a bundle have in common."""

    layers: int
    """Layers, each with a cache of its own."""
    key_value_heads: int
    """Heads of a layer's cache."""
    head_size: int
    """Channels of a head."""
    width: int
    """Channels of `inputs_embeds` and `last_hidden_state`."""
    vocabulary: int
    """Columns of `logits`."""
    stop_ids: tuple[int, ...]
    """Tokens that end an answer."""
    cache: Cache
    """How keys and values are kept."""
    control_ids: tuple[int, ...] = ()
    """Tokens that are left out of a text, `stop_ids` among them."""
    shown_tokens: Mapping[str, str] = field(default_factory=dict)
    """Texts of added tokens that belong to a text, by id; `tokenizer.json` has no added tokens."""

    @property
    def is_possible(self) -> bool:
        """Whether a model can have these values."""
        sizes = (self.layers, self.key_value_heads, self.head_size, self.width, self.vocabulary)
        shown = [int(key) if key.isdecimal() else -1 for key in self.shown_tokens]
        ids = (*self.stop_ids, *self.control_ids, *shown)
        return min(sizes) > 0 and bool(self.stop_ids) and all(0 <= one < self.vocabulary for one in ids)


def optional_entries(graphs: tuple[RoleGraph, ...], decoding: Decoding | None) -> Mapping[str, Any]:
    """Return what a manifest's `optional` has of these graphs; `decoding` None: none of them is a decoder."""
    listed = {GRAPHS: [dataclasses.asdict(one) for one in graphs]} if graphs else {}
    return listed | ({DECODING: dataclasses.asdict(decoding)} if decoding else {})


def role_graphs(manifest: Manifest, where: str = "manifest.json") -> tuple[RoleGraph, ...]:
    """Return a bundle's graphs besides the single passes; roles that this release does not know are left out.

    Raises BundleCorruptError, which says `where`.
    """
    listed = manifest.optional.get(GRAPHS, [])
    if not isinstance(listed, list):
        raise BundleCorruptError(f"{where}: {GRAPHS} is {listed!r}, expected a list. Export the bundle again.")
    known = [row for row in listed if not isinstance(row, dict) or row.get("role") in list(Role)]
    return tuple(build_known(RoleGraph, row, where) for row in known)


def decoding(manifest: Manifest, where: str = "manifest.json") -> Decoding | None:
    """Return what a bundle's decoders have in common; None if it has none. Raises BundleCorruptError."""
    found = manifest.optional.get(DECODING)
    return None if found is None else build_known(Decoding, found, where)


def graph_of(manifest: Manifest, variant: Variant, role: Role) -> Variant | None:
    """Return a variant's entry with the graph of a role in the place of its single pass; None if it has none."""
    if role is Role.SINGLE_PASS:
        return variant
    found = (one for one in role_graphs(manifest) if (one.role, one.variant) == (role, variant.name))
    return next((dataclasses.replace(variant, graph=one.graph, dialect=one.dialect) for one in found), None)


def all_graphs(manifest: Manifest) -> tuple[Variant, ...]:
    """Return every graph of a bundle, each as its variant's entry."""
    found = (graph_of(manifest, variant, role) for role in Role for variant in manifest.variants)
    return tuple(one for one in found if one is not None)


def abilities(manifest: Manifest) -> tuple[Ability, ...]:
    """Return what a bundle can answer with."""
    roles = {one.role for one in role_graphs(manifest)}
    able = {
        Ability.LETTER: True,
        Ability.TEXT: Role.DECODER in roles,
        Ability.TRACE: Role.TRACE in roles,
        Ability.LATENT: LATENT in manifest.optional,
    }
    return tuple(ability for ability, is_able in able.items() if is_able)


def check_roles(manifest: Manifest, where: str) -> None:
    """Raise BundleCorruptError for what no bundle can have in its graphs' roles."""
    graphs, found = role_graphs(manifest, where), decoding(manifest, where)
    variants = {variant.name for variant in manifest.variants}
    places = [(one.role, one.variant) for one in graphs]
    decoders = [one for one in graphs if one.role is Role.DECODER]
    wrong = {
        GRAPHS: not {one.variant for one in graphs} <= variants
        or len(set(places)) < len(places)
        or any(one.role is Role.SINGLE_PASS for one in graphs)
        or (not manifest.prompt.blocks and any(one.role is Role.TRACE for one in graphs)),
        DECODING: bool(decoders) != (found is not None) or (found is not None and not found.is_possible),
    }
    if bad := [name for name, is_wrong in wrong.items() if is_wrong]:
        raise BundleCorruptError(f"{where} has impossible values in {', '.join(bad)}. Export the bundle again.")
