"""A transformers model without weights, and where its parts are, read off its modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.initialization import no_init_weights
from transformers.pytorch_utils import Conv1D

from rim_export.errors import CheckpointError, UnsupportedModelError
from rim_export.graph.attention import CAUSAL, register_causal_attention
from rim_export.graph.unwritten import WithoutMemory

BACKBONE = "backbone"
"""What our graphs call the model without its head; the checkpoint calls it `model`, `transformer`, …"""
OWN_ATTENTION = "sdpa"
"""transformers' own attention, which the reference takes."""


def short_name(weight: str) -> str:
    """Return a product's name for people, as in `layers.1.mlp.down_proj`, from the graph's name of its weight."""
    return weight.removeprefix(f"{BACKBONE}.").removesuffix(".weight")


def skeleton(config: Any, attention: str = CAUSAL) -> Any:
    """Return the transformers causal LM of this config in fp32; its large weights take no memory.

    With our attention it has no sliding window: prompts are no longer than that (`Checkpoint.positions`).
    Raises CheckpointError if transformers cannot build it.
    """
    register_causal_attention()
    config._attn_implementation = attention
    if attention != OWN_ATTENTION and getattr(config, "sliding_window", None) is not None:
        config.sliding_window = None
    try:
        with no_init_weights(), WithoutMemory():
            return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    except Exception as error:  # noqa: BLE001 (a config's values reach torch, which raises what it likes)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(
            f"The model that config.json describes cannot be built ({reason}). "
            "Copy it from the checkpoint's source again."
        ) from None


@dataclass(frozen=True)
class Anatomy:
    """Where a model's parts are."""

    prefix: str
    """The backbone's name in the checkpoint."""
    layers: str
    """The list of layers, as the backbone names it."""
    depth: int
    """How many there are."""
    table: str
    """The embedding table's weight, [vocabulary, hidden], as the backbone names it."""
    head: str
    """The output projection's weight as the checkpoint names it; the table's, if they are tied."""
    turned: frozenset[str]
    """The graph's names of weights that the checkpoint stores as [in, out]: those of GPT-2's Conv1D."""

    def layer(self, number: int) -> str:
        """Return the graph's name of a layer."""
        return f"{BACKBONE}.{self.layers}.{number}"

    def stored_name(self, name: str) -> str:
        """Return the checkpoint's name of a parameter, from the graph's."""
        return f"{self.prefix}.{name.removeprefix(f'{BACKBONE}.')}"


def anatomy(config: Any) -> Anatomy:
    """Return where the parts of this config's model are; no memory is taken.

    Raises CheckpointError and UnsupportedModelError.
    """
    with torch.device("meta"):
        return anatomy_of(skeleton(config))


def anatomy_of(model: Any) -> Anatomy:
    """Return where the parts of a transformers causal LM are. Raises UnsupportedModelError for other models."""
    backbone, config = model.base_model, model.config
    depth = int(config.num_hidden_layers)
    lists = [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth and "." not in name
    ]
    if len(lists) != 1:
        raise UnsupportedModelError(
            f"The model has {len(lists)} lists of {depth} layers, expected one. It cannot be exported."
        )
    names = {module: name for name, module in backbone.named_modules()}
    table = f"{names[model.get_input_embeddings()]}.weight"
    prefix = str(model.base_model_prefix)
    heads = {module: name for name, module in model.named_modules()}
    head = model.get_output_embeddings()
    if head.bias is not None:
        raise UnsupportedModelError("The model's output projection has a bias. It cannot be exported.")
    own_head = f"{heads[head]}.weight"
    tied = bool(config.tie_word_embeddings)
    turned = frozenset(f"{BACKBONE}.{name}.weight" for module, name in names.items() if isinstance(module, Conv1D))
    return Anatomy(prefix, lists[0], depth, table, f"{prefix}.{table}" if tied else own_head, turned)
