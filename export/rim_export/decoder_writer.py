"""Write a variant's decoder beside its single pass: one more graph over the same file of weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Dialect, Variant
from rim_runtime.bundle.roles import Cache, Decoding, Role, RoleGraph

from rim_export.checkpoint.folder import GENERATION, Checkpoint
from rim_export.errors import CheckpointError
from rim_export.graph.convert import UnboundGraph
from rim_export.recipes.recipe import Recipe, Widened, bind, in_form
from rim_export.recipes.stream_turn import turn_ends
from rim_export.weights.files import add_graph
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class DecoderWriter:
    """What decoders are made from, and where they are written."""

    unbound: UnboundGraph
    """The decoder without weights; every variant's is made from a copy."""
    weights: ModelWeights
    """The checkpoint's tensors."""
    bundle: Bundle
    """The folder that the variants were written to."""

    def write(self, recipe: Recipe, variant: Variant, widened: Widened) -> RoleGraph:
        """Write the decoder of a variant, by the recipe of its single pass; return its manifest entry.

        Tensors that the single pass has are read from where they are, the others are added to its weights' file.
        """
        unbound = replace(self.unbound, model=self.unbound.model.clone())
        bind(recipe, unbound, self.weights, *in_form(widened))
        if recipe.rotation is not None:
            turn_ends(unbound, recipe.rotation)
        name, folder = f"model.{variant.name}.decoder.onnx", self.bundle.path
        add_graph(unbound, folder / name, [folder / variant.graph], folder / variant.data)
        return RoleGraph(Role.DECODER, variant.name, name, Dialect.ORT)


def decoding_of(checkpoint: Checkpoint, tokenizer: Any) -> Decoding:
    """Return what the manifest says of decoders. Raises CheckpointError if no token ends an answer."""
    sizes, stops = checkpoint.sizes, _stop_ids(checkpoint, tokenizer)
    tokens = tokenizer.added_tokens_decoder
    added = {number: token for number, token in tokens.items() if number < sizes.vocabulary}
    control = {number for number, token in added.items() if token.special}
    return Decoding(
        sizes.layers,
        sizes.key_value_heads,
        sizes.head_size,
        sizes.width,
        sizes.vocabulary,
        stops,
        Cache.BUFFER,
        tuple(sorted(control | set(stops))),
        {str(number): str(token) for number, token in sorted(added.items()) if not token.special},
    )


def _stop_ids(checkpoint: Checkpoint, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens at which transformers' generate stops, and the tokenizer's own end."""
    stated = checkpoint.generation_config.get("eos_token_id")
    stated = checkpoint.config.get("eos_token_id") if stated is None else stated
    listed = stated if isinstance(stated, list) else [stated]
    found = [one for one in (*listed, tokenizer.eos_token_id) if type(one) is int]
    known = tuple(dict.fromkeys(one for one in found if 0 <= one < checkpoint.sizes.vocabulary))
    if not known:
        raise CheckpointError(
            f"{checkpoint.path} names no token that ends an answer (eos_token_id is {stated!r}), expected one in "
            f"{GENERATION} or config.json. Add it, or export without --answers text."
        )
    return known
