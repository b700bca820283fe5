"""Every tensor of a checkpoint is used, or refused by name: what is left out silently would change answers."""

from __future__ import annotations

import re

import torch

from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CheckpointError
from rim_export.graph.skeleton import skeleton
from rim_export.weights.model_weights import ModelWeights

_COMPUTED = re.compile(r"(^|\.)(rotary_emb\.inv_freq|attn\.(masked_)?bias)$")
"""Constants that older releases stored: a rotary embedding's frequencies, a causal mask."""
_SCALES = re.compile(r"(_scale(_inv|_2)?|_zero_point|\.(scales?|qzeros|qweight|g_idx|absmax|quant_map|SCB))$")
"""Endings of what quantizers store beside their matrices."""
_LAYER = re.compile(r"\.(\d+)\.")
_FLOATS = ("F64", "F32", "F16", "BF16")
"""safetensors' names of the types that hold weights as they are."""
_NAMED = 3


def refuse_unused(weights: ModelWeights) -> None:
    """Raise CheckpointError if the checkpoint has tensors, types or a head that the model would not be given."""
    checkpoint = weights.checkpoint
    with torch.device("meta"):
        model = skeleton(checkpoint.load_config())
    prefix = f"{model.base_model_prefix}."
    known = {name for full in model.state_dict() for name in (full, full.removeprefix(prefix))}
    extra = [name for name in sorted(checkpoint.weights.tensors) if name not in known]
    extra = [name for name in extra if not _COMPUTED.search(name)]
    if extra:
        raise CheckpointError(_unused(checkpoint, extra, weights.anatomy.depth))
    _refuse_types(checkpoint)
    if model.config.tie_word_embeddings:
        _refuse_own_head(weights)


def _unused(checkpoint: Checkpoint, extra: list[str], depth: int) -> str:
    more = f" and {len(extra) - _NAMED} more" if len(extra) > _NAMED else ""
    found = (
        f"{checkpoint.path} has tensors that the model in config.json does not: {', '.join(extra[:_NAMED])}{more}."
    )
    if any(_SCALES.search(name) for name in extra):
        return f"{found} They look like scales of quantized weights. Give the checkpoint as it was before."
    beyond = [name for name in extra if (match := _LAYER.search(name)) and int(match[1]) >= depth]
    if beyond:
        return f"{found} config.json counts {depth} layers. Copy config.json and weights anew from one source."
    return (
        f"{found} Left out, they would change its answers. Copy config.json and weights anew from one source, or "
        "load the model with transformers, look what it says of them, and save it again with save_pretrained."
    )


def _refuse_types(checkpoint: Checkpoint) -> None:
    """Raise CheckpointError for weights that are not plain floats of at least 16 bits."""
    types = checkpoint.weights.types()
    narrow = {name: kind for name, kind in types.items() if kind not in _FLOATS and not _COMPUTED.search(name)}
    if narrow:
        name, kind = min(narrow.items())
        raise CheckpointError(
            f"{checkpoint.path} stores {name} as {kind}, expected {', '.join(_FLOATS)}: weights in narrower types "
            "go with scales. Give the checkpoint as it was before it was quantized."
        )


def _refuse_own_head(weights: ModelWeights) -> None:
    """Raise CheckpointError if an output projection that config.json ties differs from the embedding table."""
    files = weights.checkpoint.weights
    own = next((name for name in files.tensors if name.split(".")[-2:] == ["lm_head", "weight"]), None)
    if own is None:
        return
    head, table = files.read(own), weights.stored(weights.anatomy.head)
    if head.shape != table.shape or not torch.equal(head, table):
        raise CheckpointError(
            f"config.json ties the output projection to the embedding table (tie_word_embeddings), but {own} "
            "differs from it. If it was trained, as by an adapter's modules_to_save, write "
            '"tie_word_embeddings": false into config.json; if it is a leftover, save the model again without it.'
        )
