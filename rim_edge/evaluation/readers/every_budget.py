"""Letters after every number of blocks, in one pass a question instead of one for each number.

    [question][block 1]…[block K][prefix after 0 blocks][prefix after 1]…[prefix after K]

A prefix stands at the position that it has in its own prompt, and sees the question, the blocks before it and
itself: so its logits are those of the ordinary pass. The question, most of a prompt, is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from rim_runtime.prompt.contract import PromptContract

from rim_edge.evaluation.checkpoint_answers import LetterLogits, letter_ids, letter_logits
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.masked_pass import Part, masked_logits
from rim_edge.methods.encoder import TextEncoder

_ROWS, _PREFIXES = 64, 128
"""In one pass at most: each prefix has logits of the whole vocabulary."""


def letters_by_budget(
    model: Any, encoder: TextEncoder, items: Sequence[Item], budgets: range
) -> dict[int, LetterLogits]:
    """Return the logits of the letters by the number of blocks; there must be an item.

    One number of blocks is read in the ordinary pass, which needs no mask.
    """
    if len(budgets) == 1:
        return {budgets[0]: letter_logits(model, encoder, items, budgets[0])}
    prompts = [encoder.prompt(item.question) for item in items]
    together = max(1, min(_ROWS, _PREFIXES // len(budgets)))
    parts = [
        _read(model, encoder.contract, prompts[at : at + together], budgets, letter_ids(encoder))
        for at in range(0, len(prompts), together)
    ]
    logits, first = (torch.cat(found) for found in zip(*parts, strict=True))
    return {blocks: LetterLogits(logits[:, at], first[:, at]) for at, blocks in enumerate(budgets)}


def _read(
    model: Any, contract: PromptContract, prompts: Sequence[Sequence[int]], budgets: range, letters: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits [prompts, budgets, letters] and, [prompts, budgets], whether a letter is the likeliest."""
    blocks = budgets[-1]
    sees = _sees(blocks, budgets)
    read = masked_logits(
        model, [_row(prompt, contract, budgets) for prompt in prompts], sees, range(1 + blocks, len(sees))
    )
    is_letter = torch.isin(read.argmax(-1).cpu(), letters)
    return read[..., letters.to(read.device)].float().cpu(), is_letter


def _row(prompt: Sequence[int], contract: PromptContract, budgets: range) -> list[Part]:
    starts = [len(prompt) + len(contract.block) * before for before in range(budgets[-1] + 1)]
    memory = [Part(contract.block, start) for start in starts[:-1]]
    return [Part(prompt, 0), *memory, *(Part(contract.prefix, starts[blocks]) for blocks in budgets)]


def _sees(blocks: int, budgets: range) -> torch.Tensor:
    """Return which part of a row sees which, bool [parts, parts]: question, blocks in order, then prefixes."""
    trunk = 1 + blocks
    sees = torch.eye(trunk + len(budgets), dtype=torch.bool)
    sees[:trunk, :trunk] = torch.ones(trunk, trunk, dtype=torch.bool).tril()
    for prefix, before in enumerate(budgets, start=trunk):
        sees[prefix, : 1 + before] = True
    return sees
