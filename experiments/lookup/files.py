"""Writes the task's files: rows of the warm-up, of training and of the test, and an untrained model a seed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from experiments.lookup.task import FACTS, Part, lookups, puzzles
from experiments.rows import write_rows
from experiments.symbols import write_start

WARM_UP_ROWS, TRAIN_ROWS, TEST_ROWS = 19_200, 115_200, 2_000
"""The first two: as many as the recipes draw, so that no row comes twice."""
_DATA_SEED = 0
LAYERS = 5
"""A layer a hop, and two to spare."""
MODEL = {
    "hidden_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "intermediate_size": 192,
    "max_position_embeddings": 256,
    "rope_theta": 10000.0,
    "initializer_range": 0.05,
}
"""A Qwen3 of a quarter of a million weights."""


def write_files(folder: Path, seeds: Sequence[int], layers: int = LAYERS) -> None:
    """Write whatever is not there yet, for models of so many layers."""
    write_rows(folder / f"{Part.WARM_UP}.jsonl.gz", itertools.islice(lookups(_DATA_SEED), WARM_UP_ROWS))
    for part, count in ((Part.TRAIN, TRAIN_ROWS), (Part.TEST, TEST_ROWS)):
        rows = (puzzle.row() for puzzle in itertools.islice(puzzles(part, _DATA_SEED), count))
        write_rows(folder / f"{part}.jsonl.gz", rows)
    for seed in seeds:
        start = folder / f"start-{seed}"
        if not start.exists():
            write_start(start, FACTS, {**MODEL, "num_hidden_layers": layers}, seed)
