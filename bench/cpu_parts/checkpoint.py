"""A checkpoint at the geometry of Qwen3-1.7B with seeded random weights, for speed and memory only.

Its answers mean nothing. Written layer by layer: a few hundred MB of memory, 3.4 GB of disk in bf16.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer

RIM_TOKENS = ("<rim_b>", "<rim_m>", "<rim_eb>")
SEED = 0
STD = 0.02


def make_checkpoint(folder: Path, tokenizer: Path, layers: int) -> Path:
    """Write a checkpoint of `layers` layers into `folder`, unless it is there; `tokenizer` holds Qwen3's files."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((tokenizer / "config.json").read_text())
    config |= {"num_hidden_layers": layers, "layer_types": ["full_attention"] * layers, "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    words = AutoTokenizer.from_pretrained(tokenizer)
    words.add_tokens(list(RIM_TOKENS), special_tokens=True)
    words.save_pretrained(folder)
    _write_weights(folder, index, config)
    return folder


def _write_weights(folder: Path, index: Path, config: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(SEED)
    weight_map: dict[str, str] = {}
    layers = (_layer(number, config, generator) for number in range(config["num_hidden_layers"]))
    shards = itertools.chain((_ends(config, generator),), layers)  # lazily: one shard in memory
    for number, shard in enumerate(shards):
        name = f"model-{number:05d}.safetensors"
        save_file(shard, folder / name)
        weight_map |= dict.fromkeys(shard, name)
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def _random(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return (torch.randn(*shape, generator=generator) * STD).to(torch.bfloat16)


def _ones(size: int) -> torch.Tensor:
    return torch.ones(size, dtype=torch.bfloat16)


def _ends(config: dict[str, Any], generator: torch.Generator) -> dict[str, torch.Tensor]:
    hidden = config["hidden_size"]
    return {
        "model.embed_tokens.weight": _random(generator, config["vocab_size"], hidden),
        "model.norm.weight": _ones(hidden),
    }


def _layer(number: int, config: dict[str, Any], generator: torch.Generator) -> dict[str, torch.Tensor]:
    hidden, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes = {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    gains = {
        "self_attn.q_norm": head,
        "self_attn.k_norm": head,
        "input_layernorm": hidden,
        "post_attention_layernorm": hidden,
    }
    start = f"model.layers.{number}."
    matrices = {f"{start}{name}.weight": _random(generator, *shape) for name, shape in shapes.items()}
    return matrices | {f"{start}{name}.weight": _ones(size) for name, size in gains.items()}
