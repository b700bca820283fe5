"""What the training benchmark trains: two small checkpoints with seeded random weights, and rows for each."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from rim_export.checkpoint.prompt import RimSettings
from rim_runtime.prompt.options import LETTERS, offered_options
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from rim_edge.data.puzzle_source import PuzzleSource
from rim_edge.model.checkpoint import write_checkpoint
from rim_edge.model.trainable import load_trainable, write_trained
from rim_edge.recipe.presets import preset
from rim_edge.recipe.switches import Objective

PUZZLES = 4_000
SMALL = {
    "hidden_size": 512,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "intermediate_size": 1536,
    "vocab_size": 151_936,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
"""A Qwen3 of 112 million weights, 78 of them the vocabulary's."""


def make_demo(folder: Path) -> Path:
    """Write the untrained demo model and rows of its puzzles, rows.jsonl."""
    student = load_trainable(preset("demo"), None, 0)
    write_trained(folder, student)
    examples = PuzzleSource(0).draw(PUZZLES, Objective.STEPS)
    rows = [
        {"question": one.question, "steps": one.steps, "answer": one.answer, **_letters(one.question)}
        for one in examples
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def _letters(question: str) -> dict[str, str]:
    """Return what a row says whose answer is a letter though nothing is offered."""
    return {} if offered_options(question) else {"letters": LETTERS}


def make_small(folder: Path, tokenizer: Path) -> Path:
    """Write a small Qwen3 with Qwen3's own tokenizer."""
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(**SMALL))
    write_checkpoint(folder, model, AutoTokenizer.from_pretrained(tokenizer), RimSettings(), torch.float32)
    return folder
