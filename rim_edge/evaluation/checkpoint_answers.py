"""Answers of a checkpoint to the unpacked single-pass prompt, as the exported graph computes it.

Letters are the most likely ones at the prefix's last token, among those a question offers. Open answers are
decoded greedily after the prefix, up to the closing brace; a chain of written steps, after the bare prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import (
    RimSettings,
    derive_contract,
    derive_contract_without_blocks,
    has_rim_tokens,
)
from rim_runtime.prompt.contract import PromptContract
from rim_runtime.prompt.options import LETTERS

from rim_edge.evaluation.arithmetic import Arithmetic
from rim_edge.evaluation.decoding import decoded
from rim_edge.evaluation.extraction import behind_prefix
from rim_edge.evaluation.items import ANSWER_TOKENS, Item
from rim_edge.methods.encoder import TextEncoder
from rim_edge.model.checkpoint import read_checkpoint
from rim_edge.model.cpu import through_onednn

_ANY_LENGTH = 10**30
"""Tokens: what transformers itself takes for a tokenizer without a limit."""
_BATCH = 64
"""Prompts in one pass; small, because a model may be scored while training holds most of the memory."""


def open_checkpoint(folder: Path, arithmetic: Arithmetic | None = None) -> tuple[Any, TextEncoder]:
    """Return (model, encoder) of a checkpoint; blocks and prefix are the card's where it names none.

    Without RiM tokens there are no blocks. `arithmetic` None: fp32 on the CPU. Raises CheckpointError.
    """
    rim = Checkpoint.open(folder).rim
    model, tokenizer = read_checkpoint(folder)
    tokenizer.model_max_length = _ANY_LENGTH  # or transformers warns of questions that are left out anyway
    through_onednn(model)
    if arithmetic is not None:
        model = model.to(arithmetic.device, arithmetic.dtype)
    return model.eval(), TextEncoder(tokenizer, _contract(tokenizer, rim))


def _contract(tokenizer: Any, rim: RimSettings | None) -> PromptContract:
    if rim is None and not has_rim_tokens(tokenizer):
        return derive_contract_without_blocks(tokenizer, RimSettings().prefix)
    return derive_contract(tokenizer, rim or RimSettings())


def texts_read(model: Any, encoder: TextEncoder, items: Sequence[Item], blocks: int) -> list[str]:
    """Return the answer that is written to every item with `blocks` blocks, in the form that items compare."""
    prompts = [readout_prompt(encoder, item.question, blocks) for item in items]
    written = _decoded(model, encoder, prompts, ANSWER_TOKENS)
    return [behind_prefix(text, item).answer for text, item in zip(written, items, strict=True)]


@dataclass(frozen=True)
class LetterLogits:
    """What the model says of the letters at the prefix's last token."""

    logits: torch.Tensor
    """Of the letters A..J: float32 [items, letters], on the CPU."""
    first: torch.Tensor
    """Whether the likeliest token of all is one of them: bool [items]. Where it is not, generated text differs."""


def letters_read(model: Any, encoder: TextEncoder, items: Sequence[Item], blocks: int) -> list[str]:
    """Return the most likely of each item's letters, at the prefix's last token."""
    return best_letters(letter_logits(model, encoder, items, blocks).logits, items)


def letter_logits(model: Any, encoder: TextEncoder, items: Sequence[Item], blocks: int) -> LetterLogits:
    """Return the logits of the letters after so many blocks."""
    prompts = [readout_prompt(encoder, item.question, blocks) for item in items]
    rows = letter_ids(encoder)
    parts = [_letter_logits(model, prompts[at : at + _BATCH], rows) for at in range(0, len(prompts), _BATCH)]
    return LetterLogits(torch.cat([part.logits for part in parts]), torch.cat([part.first for part in parts]))


def letter_ids(encoder: TextEncoder) -> torch.Tensor:
    """Return the tokens of the letters A..J: int64 [letters]."""
    return torch.tensor([encoder.encode(letter)[0] for letter in LETTERS])


def best_letters(logits: torch.Tensor, items: Sequence[Item]) -> list[str]:
    """Return each item's most likely letter among its own, from logits [items, letters A..J]."""
    return [LETTERS[index] for index in _offered(logits, items).argmax(-1).tolist()]


def letter_shares(logits: torch.Tensor, items: Sequence[Item]) -> list[dict[str, float]]:
    """Return the probabilities of each item's own letters, from logits [items, letters A..J]."""
    shares = _offered(logits, items).softmax(-1).tolist()
    rows = [dict(zip(LETTERS, row, strict=True)) for row in shares]
    return [{letter: row[letter] for letter in item.letters} for row, item in zip(rows, items, strict=True)]


def _offered(logits: torch.Tensor, items: Sequence[Item]) -> torch.Tensor:
    """Return the logits with those of letters that an item does not offer at minus infinity."""
    offered = torch.tensor([[letter in item.letters for letter in LETTERS] for item in items])
    return logits.cpu().masked_fill(~offered, -torch.inf)


def chains_read(model: Any, encoder: TextEncoder, items: Sequence[Item], tokens: int) -> list[str]:
    """Return the answer after steps that the model writes itself, in at most `tokens` tokens; "" without one."""
    opening = encoder.contract.prefix_text
    written = _decoded(model, encoder, [encoder.prompt(item.question) for item in items], tokens)
    return [
        behind_prefix(text.rpartition(opening)[2], item).answer if opening in text else ""
        for text, item in zip(written, items, strict=True)
    ]


def readout_prompt(encoder: TextEncoder, question: str, blocks: int) -> tuple[int, ...]:
    """Return the ids of a question with its blocks and the answer prefix."""
    contract = encoder.contract
    return encoder.prompt(question) + blocks * contract.block + contract.prefix


@torch.no_grad()
def _letter_logits(model: Any, prompts: Sequence[Sequence[int]], rows: torch.Tensor) -> LetterLogits:
    """Return the letters' logits of some prompts; padding comes last, so causal attention needs no mask."""
    width = max(map(len, prompts))
    ids = torch.tensor([[*prompt, *(width - len(prompt)) * [0]] for prompt in prompts], device=model.device)
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state  # (prompts, width, hidden)
    ends = torch.tensor([len(prompt) - 1 for prompt in prompts], device=model.device)
    last = hidden[torch.arange(len(prompts), device=model.device), ends]
    logits = model.get_output_embeddings()(last)
    first = torch.isin(logits.argmax(-1).cpu(), rows)
    return LetterLogits(logits[:, rows.to(model.device)].float().cpu(), first)


def _decoded(model: Any, encoder: TextEncoder, prompts: Sequence[Sequence[int]], tokens: int) -> list[str]:
    """Return the text that the model writes greedily after every prompt."""
    return [encoder.decode(ids) for ids in decoded(model, prompts, encoder.end_of_turn, tokens)]
