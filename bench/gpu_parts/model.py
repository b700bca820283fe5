"""Qwen3-1.7B's geometry with seeded random weights, and the model card's way of asking it, in eager transformers.

No tokenizer: prompts are seeded random ids in the frame of the real prompt, which has 40 fixed tokens.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import torch
from rim_runtime.bundle.manifest import Precision
from rim_runtime.prompt.contract import PromptContract
from rim_runtime.prompt.options import LETTERS
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Qwen3Config

SEED, STD = 0, 0.02
NEW_TOKENS = 8
"""What the card's snippet generates at most; random weights never stop earlier."""
LETTER_IDS = {letter: 32 + number for number, letter in enumerate(LETTERS)}
CONTRACT = PromptContract(
    head=(151644,),
    question_open="",
    question_close="",
    strip=False,
    tail=(151645, 198, 151644),
    block=(151669, 151670, 151670, 151671),
    blocks=8,
    prefix=(785, 1590, 4226, 374),
    prefix_text="",
)
"""A prompt of the card's size: ids of the same vocabulary, with as many fixed ones (see FIXED)."""
FIXED = CONTRACT.fixed_tokens


def config_of(layers: int) -> Qwen3Config:
    """Return the geometry of Qwen3-1.7B, with this many layers."""
    return Qwen3Config(
        vocab_size=151_936,
        hidden_size=2048,
        intermediate_size=6144,
        num_hidden_layers=layers,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40_960,
        rope_theta=1_000_000.0,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        torch_dtype="bfloat16",
    )


def make_checkpoint(folder: Path, layers: int, device: str) -> Path:
    """Write the checkpoint in bf16, a layer a file, unless it is there; weights are drawn on the device."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    config_of(layers).save_pretrained(folder)
    generator = torch.Generator(device).manual_seed(SEED)
    names: dict[str, str] = {}
    shapes = _shapes(config_of(layers))
    for number, (_, group) in enumerate(itertools.groupby(shapes.items(), key=lambda item: _shard(item[0]))):
        tensors = {name: _draw(name, shape, generator, device) for name, shape in group}
        save_file(tensors, folder / f"model-{number:05d}.safetensors")
        names |= dict.fromkeys(tensors, f"model-{number:05d}.safetensors")
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return folder


def prompts(batch: int, tokens: int, device: str) -> torch.Tensor:
    """Return whole prompts of this many tokens: int64 [batch, tokens]."""
    return torch.tensor([[*CONTRACT.head, *row, *CONTRACT.suffix(8)] for row in questions(batch, tokens)]).to(
        device
    )


def questions(batch: int, tokens: int) -> list[list[int]]:
    """Return the question segments of such prompts."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randint(1000, 100_000, (batch, tokens - FIXED), generator=generator).tolist()


CARD_TYPES = {"cuda": (Precision.BF16, torch.bfloat16), "cpu": (Precision.FP32, torch.float32)}
"""What the card's model computes in: bf16, as the card says, which most CPUs only emulate, much slower."""


class Card:
    """The model in eager transformers, with PyTorch's own attention, as the card loads it."""

    def __init__(self, checkpoint: Path, device: str) -> None:
        """Load it onto the device."""
        self.precision, kind = CARD_TYPES[device]
        model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=kind, attn_implementation="sdpa")
        self.model: Any = model.to(device).eval()

    @torch.no_grad()
    def snippet(self, ids: torch.Tensor) -> torch.Tensor:
        """Do what the card's snippet does: generate greedily, with a key-value cache."""
        return self.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0
        )

    @torch.no_grad()
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Make its forward pass alone, with the logits of the last token."""
        return self.model(ids, use_cache=False, logits_to_keep=1).logits


def _shapes(config: Qwen3Config) -> dict[str, tuple[int, ...]]:
    """Return every tensor's shape, as transformers names them."""
    hidden, inner, head = config.hidden_size, config.intermediate_size, config.head_dim
    wide, narrow = config.num_attention_heads * head, config.num_key_value_heads * head
    layer = {
        "self_attn.q_proj": (wide, hidden),
        "self_attn.k_proj": (narrow, hidden),
        "self_attn.v_proj": (narrow, hidden),
        "self_attn.o_proj": (hidden, wide),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
        "self_attn.q_norm": (head,),
        "self_attn.k_norm": (head,),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    ends = {"model.embed_tokens.weight": (config.vocab_size, hidden), "model.norm.weight": (hidden,)}
    layers = range(config.num_hidden_layers)
    return ends | {f"model.layers.{n}.{name}.weight": shape for n in layers for name, shape in layer.items()}


def _shard(name: str) -> str:
    return name.split(".")[2] if name.startswith("model.layers.") else "ends"


def _draw(name: str, shape: tuple[int, ...], generator: torch.Generator, device: str) -> torch.Tensor:
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    return (torch.randn(shape, generator=generator, device=device) * STD).to(torch.bfloat16).cpu()
