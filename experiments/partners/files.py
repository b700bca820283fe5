"""Writes the files: rows of every part, plain and with the items repeated, and an untrained model a seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from rim_export.checkpoint.prompt import RimSettings

from experiments.partners.task import WORDS, Part, Puzzle, mixed_puzzles, puzzles
from experiments.rows import write_rows
from experiments.symbols import PREFIX, write_start

BLOCK = 3
"""Tokens of a memory block with M = 1."""
WIDTHS = {Part.WARM_UP: (2, 4, 6, 8), Part.TRAIN: (2, 3, 4, 6, 8, 8)}
"""How many items a row may have, each number as often as it stands here: one run is scored at every width."""
ROWS = {Part.WARM_UP: 1_200 * 32, Part.TRAIN: 5_800 * 32}
"""As many as the recipes draw."""
SCORED = {"test-8": (Part.TEST, 8, 1_000), "test-6": (Part.TEST, 6, 1_000), "test-4": (Part.TEST, 4, 1_000)}
SCORED |= {"test-2": (Part.TEST, 2, 80), "dev": (Part.DEV, 8, 300)}
"""Part, items and number of the questions in each file; of two items there are few sets."""
BLOCKS = 2 * 8 + 1
"""One a step of the widest row, and one for the answer."""
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


def write_files(folder: Path, seeds: Sequence[int]) -> None:
    """Write whatever is not there yet."""
    warm_up = (puzzle.warm_up_row() for puzzle in _trained(Part.WARM_UP))
    write_rows(folder / f"{Part.WARM_UP}.jsonl.gz", warm_up)
    _write_twice(folder, Part.TRAIN, _trained(Part.TRAIN))
    for name, (part, items, count) in SCORED.items():
        _write_twice(folder, name, itertools.islice(puzzles(part, items), count))
    for seed in seeds:
        start = folder / f"start-{seed}"
        if not start.exists():
            rim = RimSettings(blocks=BLOCKS, memory_tokens=1, prefix=PREFIX)
            write_start(start, WORDS, MODEL, seed, rim)


def _trained(part: Part) -> Iterator[Puzzle]:
    return itertools.islice(mixed_puzzles(part, WIDTHS[part]), ROWS[part])


def _write_twice(folder: Path, name: str, drawn: Iterator[Puzzle]) -> None:
    """Write the puzzles' rows, and those that tell the items again, unless both are there."""
    plain, repeated = folder / f"{name}.jsonl.gz", folder / f"{name}{REPEATED}.jsonl.gz"
    found = [] if plain.exists() and repeated.exists() else list(drawn)
    write_rows(plain, (puzzle.row() for puzzle in found))
    write_rows(repeated, (puzzle.repeated_row(BLOCKS * BLOCK) for puzzle in found))
