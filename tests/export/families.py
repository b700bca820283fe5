"""Tiny random checkpoints of every family, with the demo's tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoTokenizer

from rim_edge.puzzles.tokenizer import build_tokenizer
from tests.export.conftest import TinyCheckpoint

_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.25,  # large, so that letters differ clearly and attention is not flat
    "bos_token_id": None,
}


@dataclass(frozen=True)
class TinyFamily:
    """A family's model in a few thousand weights."""

    kind: str
    """Its `model_type`."""
    options: Mapping[str, Any]
    """What its config has besides sizes."""

    def build(self, folder: Path) -> TinyCheckpoint:
        """Save a checkpoint in bf16 and return it with transformers' model in fp32."""
        tokenizer = build_tokenizer()
        ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        config = CONFIG_MAPPING[self.kind](**_SIZES | ids | {"vocab_size": len(tokenizer)} | dict(self.options))
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:  # gains and biases are ones and zeros at first
                parameter.data.uniform_(0.5, 1.5) if name.endswith("weight") else parameter.data.normal_(0, 0.25)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)  # transformers splits words as the family does
        tokenizer.save_pretrained(folder)
        # Loaded anew: the cast above rounded the rotary frequencies too, which a real load never does.
        reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        return TinyCheckpoint(folder, reference, tokenizer)


_GPT2 = {"num_key_value_heads": 4, "n_positions": 2048, "n_inner": 96}
FAMILIES: Mapping[str, TinyFamily] = {
    "gpt2": TinyFamily("gpt2", _GPT2),
    "llama": TinyFamily("llama", {"num_key_value_heads": 4}),
    "llama3": TinyFamily(
        "llama",
        {
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 256,
            },
        },
    ),
    "llama with biases": TinyFamily("llama", {"attention_bias": True, "mlp_bias": True}),
    "mistral": TinyFamily("mistral", {"sliding_window": None}),
    "mistral with a window": TinyFamily("mistral", {"sliding_window": 1024}),
    "olmo2": TinyFamily("olmo2", {}),
    "phi3": TinyFamily("phi3", {}),
    "qwen2": TinyFamily("qwen2", {"tie_word_embeddings": True}),
    "qwen3": TinyFamily("qwen3", {"head_dim": 16, "attention_bias": True}),
    "smollm3": TinyFamily("smollm3", {"no_rope_layers": [1, 0], "num_hidden_layers": 2}),
}
"""Tiny models by name; llama comes in several forms."""
