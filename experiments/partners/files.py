"""Writes the files: rows of every part, as they are and as controls tell them, and an untrained model a seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rim_export.checkpoint.prompt import RimSettings

from experiments.partners.task import WORDS, Part, Puzzle, puzzles
from experiments.rows import write_rows
from experiments.symbols import PREFIX, write_start

BLOCK = 3
"""Tokens of a memory block with M = 1."""
BATCH, WARM_UP_STEPS, STEPS = 32, 1_200, 4_000
"""As the recipes have them: so no row comes twice."""
SCORED = {4: {Part.DEV: 80, Part.TEST: 300}, 6: {Part.DEV: 100, Part.TEST: 400}}
"""How many questions are scored, by the number of items: of few items there are few sets."""
REPEATED, KEY_FIRST = "-repeated", "-key-first"
"""Name the files whose items are told again, and those that tell the key before the items."""
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


def blocks_of(items: int) -> int:
    """Return how many blocks so many items take: one a step, and one for the answer."""
    return 2 * items + 1


def write_files(folder: Path, seeds: Sequence[int], items: int, steps: int = STEPS) -> None:
    """Write whatever is not there yet, for rows of so many items and so many steps of training."""
    rows = SCORED[items] | {Part.WARM_UP: WARM_UP_STEPS * BATCH, Part.TRAIN: steps * BATCH}
    warm_up = (puzzle.warm_up_row() for puzzle in _drawn(Part.WARM_UP, items, rows))
    write_rows(folder / f"{Part.WARM_UP}.jsonl.gz", warm_up)
    for part in (Part.TRAIN, Part.DEV, Part.TEST):
        plain, repeated, key_first = (folder / f"{part}{way}.jsonl.gz" for way in ("", REPEATED, KEY_FIRST))
        missing = not (plain.exists() and repeated.exists() and key_first.exists())
        found = list(_drawn(part, items, rows)) if missing else []
        write_rows(plain, (puzzle.row() for puzzle in found))
        write_rows(repeated, (puzzle.repeated_row(blocks_of(items) * BLOCK) for puzzle in found))
        write_rows(key_first, (puzzle.key_first_row() for puzzle in found))
    for seed in seeds:
        start = folder / f"start-{seed}"
        if not start.exists():
            rim = RimSettings(blocks=blocks_of(items), memory_tokens=1, prefix=PREFIX)
            write_start(start, WORDS, MODEL, seed, rim)


def _drawn(part: Part, items: int, rows: Mapping[Part, int]) -> Iterator[Puzzle]:
    return itertools.islice(puzzles(part, items), rows[part])
