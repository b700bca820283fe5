"""Writes the files: rows of every part, plain and with the items repeated, and an untrained model a seed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from rim_export.checkpoint.prompt import RimSettings

from experiments.partners.task import WORDS, Part, Puzzle, puzzles
from experiments.rows import write_rows
from experiments.symbols import PREFIX, write_start

BATCH = 64
BLOCK = 3
"""Tokens of a memory block with M = 1."""
ROWS = {Part.WARM_UP: 400 * BATCH, Part.TRAIN: 5_800 * BATCH, Part.DEV: 500, Part.TEST: 2_000}
"""Of the first two as many as the recipes draw, so that no row comes twice."""
REPEATED = "-repeated"
"""Names the files whose items are told again."""
MODEL = {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "intermediate_size": 192,
    "max_position_embeddings": 256,
    "rope_theta": 10000.0,
    "initializer_range": 0.05,
}
"""A Qwen3 of a quarter of a million weights."""


def write_files(folder: Path, seeds: Sequence[int], items: int) -> None:
    """Write whatever is not there yet, for so many items."""
    for part, count in ROWS.items():
        drawn = list(itertools.islice(puzzles(part, items), count)) if _is_missing(folder, part) else []
        write = Puzzle.warm_up_row if part is Part.WARM_UP else Puzzle.row
        write_rows(folder / f"{part}.jsonl.gz", (write(puzzle) for puzzle in drawn))
        if part is not Part.WARM_UP:
            tokens = blocks_of(items) * BLOCK
            write_rows(folder / f"{part}{REPEATED}.jsonl.gz", (puzzle.repeated_row(tokens) for puzzle in drawn))
    for seed in seeds:
        start = folder / f"start-{seed}"
        if not start.exists():
            rim = RimSettings(blocks=blocks_of(items), memory_tokens=1, prefix=PREFIX)
            write_start(start, WORDS, MODEL, seed, rim)


def blocks_of(items: int) -> int:
    """Return the memory blocks for so many items: one a step, and one for the answer."""
    return 2 * items + 1


def _is_missing(folder: Path, part: Part) -> bool:
    ends = [""] if part is Part.WARM_UP else ["", REPEATED]
    return not all((folder / f"{part}{end}.jsonl.gz").exists() for end in ends)
