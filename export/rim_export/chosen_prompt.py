"""The prompt of an export: what the checkpoint says of it, and what was chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rim_runtime.bundle.manifest import Limits
from rim_runtime.prompt.contract import PromptContract

from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import RimSettings, derive_contract, derive_contract_without_blocks
from rim_export.errors import CheckpointError
from rim_export.settings import ExportOptions


def choose_contract(
    checkpoint: Checkpoint, tokenizer: Any, options: ExportOptions
) -> tuple[PromptContract, tuple[str, ...]]:
    """Return the prompt contract; note what is assumed, that there are no blocks, and a window."""
    window = _window_notes(checkpoint)
    if options.blocks != 0:
        rim, notes = _settings(checkpoint, options)
        return derive_contract(tokenizer, rim), (*notes, *window)
    prefix = options.prefix or (checkpoint.rim or RimSettings()).prefix
    without = (
        f"Without memory blocks the letter is read right after the prefix {prefix!r}: the zero-shot answer of the "
        "model, a baseline. 'rim-edge train' adds blocks."
    )
    return derive_contract_without_blocks(tokenizer, prefix), (without, *window)


def _window_notes(checkpoint: Checkpoint) -> tuple[str, ...]:
    if checkpoint.positions == checkpoint.sizes.positions:
        return ()
    return (
        f"Each token sees the last {checkpoint.positions:,} tokens (sliding_window): the bundle takes no longer "
        "prompts and writes no longer texts, in which this makes no difference.",
    )


def _settings(checkpoint: Checkpoint, options: ExportOptions) -> tuple[RimSettings, tuple[str, ...]]:
    """Combine the options with the checkpoint's settings, or else the card's; note what is assumed."""
    stated = checkpoint.rim
    rim = stated or RimSettings()
    chosen: dict[str, Any] = {
        "blocks": options.blocks,
        "memory_tokens": options.memory_tokens,
        "prefix": options.prefix,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    notes = []
    if stated is None and len(given) < len(chosen):
        notes.append(
            f'config.json has no "rim" entry: assumed the model card\'s {rim.blocks} blocks of '
            f"{rim.memory_tokens} memory tokens and the prefix {rim.prefix!r} where nothing else was given."
        )
    return replace(rim, **given), tuple(notes)


def choose_limits(checkpoint: Checkpoint, contract: PromptContract, options: ExportOptions) -> Limits:
    """Return how long a question and a prompt may be. Raises CheckpointError if a question has no room."""
    longest = min(checkpoint.positions, options.max_length)
    question = longest - contract.fixed_tokens
    if question < 1:
        raise CheckpointError(
            f"Prompts may have {longest} tokens (the model's positions or window {checkpoint.positions}, "
            f"--max-length {options.max_length}), but {contract.fixed_tokens} are fixed: no room for a question. "
            "Raise --max-length or take fewer blocks."
        )
    return Limits(question_tokens=question, max_length=longest, model_positions=checkpoint.positions)
