"""Accuracy of a model by the unpacked single-pass prompt: the route that the exported graph takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rim_edge.train.encode import ExampleEncoder

_BATCH = 250


def letters_read(
    model: Any, encoder: ExampleEncoder, questions: Sequence[str], letters: str, blocks: int
) -> list[str]:
    """Return the most likely of `letters` at the prefix's last token, for every question."""
    prompts = [_prompt(encoder, question, blocks) for question in questions]
    rows = torch.tensor([encoder.encode(letter)[0] for letter in letters])
    found: list[str] = []
    for start in range(0, len(prompts), _BATCH):
        best = _letter_logits(model, prompts[start : start + _BATCH], rows).argmax(-1)
        found += [letters[index] for index in best.tolist()]
    return found


def accuracy_by_blocks(
    model: Any, encoder: ExampleEncoder, items: Sequence[tuple[str, str]], letters: str
) -> list[float]:
    """Return the share of (question, answer) items read right with 0, 1, … K blocks."""
    questions = [question for question, _ in items]
    shares = []
    for blocks in range(encoder.contract.blocks + 1):
        read = letters_read(model, encoder, questions, letters, blocks)
        right = sum(letter == answer for letter, (_, answer) in zip(read, items, strict=True))
        shares.append(right / len(items))
    return shares


def _prompt(encoder: ExampleEncoder, question: str, blocks: int) -> tuple[int, ...]:
    contract = encoder.contract
    return encoder.prompt(question) + blocks * contract.block + contract.prefix


@torch.no_grad()
def _letter_logits(model: Any, prompts: Sequence[Sequence[int]], rows: torch.Tensor) -> torch.Tensor:
    """Return the letters' logits [prompts, letters]; padding comes last, so causal attention needs no mask."""
    width = max(map(len, prompts))
    ids = torch.tensor([[*prompt, *(width - len(prompt)) * [0]] for prompt in prompts])
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state  # (prompts, width, hidden)
    last = hidden[torch.arange(len(prompts)), torch.tensor([len(prompt) - 1 for prompt in prompts])]
    logits: torch.Tensor = model.get_output_embeddings()(last)[:, rows]
    return logits
