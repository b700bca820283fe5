"""Which models can be rotated, read off their modules, and their rotation."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from rim_export.graph.convert import LM_HEAD, READOUT
from rim_export.graph.skeleton import BACKBONE, skeleton
from rim_export.weights.model_weights import ModelWeights
from rim_export.weights.rotation import BLOCK, Basis, Rotation, Turn

_LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
"""The parts of a layer that norms the stream before attention and before the MLP, and adds both to it."""
_READERS: Mapping[str, str] = {
    "self_attn.q_proj": "input_layernorm",
    "self_attn.k_proj": "input_layernorm",
    "self_attn.v_proj": "input_layernorm",
    "self_attn.qkv_proj": "input_layernorm",
    "mlp.gate_proj": "post_attention_layernorm",
    "mlp.up_proj": "post_attention_layernorm",
    "mlp.gate_up_proj": "post_attention_layernorm",
}
"""Projections that read the stream, and the norm before each."""
_WRITERS = ("self_attn.o_proj", "mlp.down_proj")
"""Projections whose results are added to the stream."""
_LEAST_BLOCK = 8
"""Shorter blocks are not worth their product."""


def rotation_of(weights: ModelWeights) -> Rotation | None:
    """Return a checkpoint's rotation; None if its layers are not made of what a turn passes through.

    They are: RMSNorms before attention and MLP, and nothing else on the residual stream. LayerNorms subtract a
    mean, and norms behind attention or MLP have gains that belong to the checkpoint's own channels.
    """
    with torch.device("meta"):
        model = skeleton(weights.checkpoint.load_config())
    anatomy, backbone = weights.anatomy, model.base_model
    layers = list(backbone.get_submodule(anatomy.layers))
    last_norm = _last_norm(backbone, anatomy.layers, anatomy.table)
    if last_norm is None or not all(_is_rotatable(layer) for layer in layers):
        return None
    head_size = int(layers[0].self_attn.head_dim)
    width = int(layers[0].mlp.down_proj.in_features)
    block = min(width & -width, BLOCK)
    block = block if block >= _LEAST_BLOCK else 1
    turns = {
        f"{BACKBONE}.{anatomy.table}": Turn(inputs=Basis.STREAM),
        READOUT: Turn(inputs=Basis.STREAM, gain=last_norm),
        LM_HEAD: Turn(inputs=Basis.STREAM, gain=last_norm),
        last_norm: Turn(is_gain=True),
    }
    for number, layer in enumerate(layers):
        turns |= _turns_of(layer, anatomy.layer(number), block)
    gains = {name: weights.read(name).double() for name, turn in turns.items() if turn.is_gain}
    return Rotation(turns, gains, head_size, block)


def _last_norm(backbone: nn.Module, layers: str, table: str) -> str | None:
    """Return the graph's name of the last norm's gain; None if the backbone has other parameters besides it."""
    others = [
        name for name, _ in backbone.named_parameters() if not name.startswith(f"{layers}.") and name != table
    ]
    if len(others) != 1 or not _is_rms_norm(backbone.get_submodule(others[0].rpartition(".")[0])):
        return None
    return f"{BACKBONE}.{others[0]}"


def _is_rotatable(layer: Any) -> bool:
    parts = {name for name, module in layer.named_children() if list(module.parameters())}
    if parts != _LAYER or not all(map(_is_rms_norm, (layer.input_layernorm, layer.post_attention_layernorm))):
        return False
    linears = {name for name, module in layer.named_modules() if isinstance(module, nn.Linear)}
    return linears <= {*_READERS, *_WRITERS} and linears >= set(_WRITERS)


def _is_rms_norm(norm: nn.Module) -> bool:
    """Whether a norm divides by the root mean square and multiplies by its gain: tried, whatever its name."""
    if [name for name, _ in norm.named_parameters()] != ["weight"]:
        return False
    own = copy.deepcopy(norm).to_empty(device="cpu").float()
    generator = torch.Generator().manual_seed(0)
    (gain,) = own.parameters()
    with torch.no_grad():
        gain.copy_(torch.rand(gain.shape, generator=generator) + 0.5)
        rows = 100 * torch.randn(2, *gain.shape, generator=generator) + 50  # large: epsilon does not count
        expected = rows / rows.square().mean(dim=-1, keepdim=True).sqrt() * gain
        return torch.allclose(own(rows), expected, rtol=1e-3)


def _turns_of(layer: nn.Module, start: str, block: int) -> Mapping[str, Turn]:
    return dict(_named_turns(layer, start, block))


def _named_turns(layer: nn.Module, start: str, block: int) -> Iterator[tuple[str, Turn]]:
    linears = {name: module for name, module in layer.named_modules() if isinstance(module, nn.Linear)}
    heads = Basis.HEADS if "self_attn.v_proj" in linears else Basis.OWN
    blocks = Basis.BLOCKS if block > 1 else Basis.OWN
    inputs = {"self_attn.o_proj": heads, "mlp.down_proj": blocks}
    for name, linear in linears.items():
        norm = _READERS.get(name)
        outputs = heads if name == "self_attn.v_proj" else Basis.OWN
        if norm is None:
            yield f"{start}.{name}.weight", Turn(inputs=inputs[name], outputs=Basis.STREAM)
            outputs = Basis.STREAM
        else:
            yield f"{start}.{name}.weight", Turn(Basis.STREAM, outputs, f"{start}.{norm}.weight")
        if linear.bias is not None:
            yield f"{start}.{name}.bias", Turn(outputs=outputs)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield f"{start}.{norm}.weight", Turn(is_gain=True)
