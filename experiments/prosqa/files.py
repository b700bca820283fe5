"""Writes the task's files: generated rows, ProsQA's own questions where given, and an untrained model a seed."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.prosqa.task import HOPS, WORDS, lookups, published, rows
from experiments.rows import write_rows
from experiments.symbols import write_start

LONG_HOPS = range(7, 8)
"""One more than is trained on."""
_DATA_SEED = 0


@dataclass(frozen=True)
class Size:
    """How large an experiment is."""

    warm_up_rows: int
    """Rows that teach to look up an edge."""
    train_rows: int
    """Rows that the arms train on."""
    test_rows: int
    """Rows of each generated test."""
    layers: int
    """Of the model."""
    width: int
    """Hidden size; a head has 64 of it."""

    @property
    def model(self) -> dict[str, object]:
        """The model's configuration, without its vocabulary."""
        heads = max(1, self.width // 64)
        return {
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads,
            "head_dim": 64,
            "intermediate_size": 3 * self.width,
            "max_position_embeddings": 512,
            "rope_theta": 10000.0,
        }


FULL = Size(warm_up_rows=256_000, train_rows=256_000, test_rows=2_000, layers=8, width=512)
"""28 million weights; every training row comes eight times."""
TINY = Size(warm_up_rows=64, train_rows=64, test_rows=16, layers=2, width=64)
"""Shows that everything runs."""


def write_files(folder: Path, seeds: Sequence[int], size: Size, valid: Path | None) -> None:
    """Write whatever is not there yet; `valid` is ProsQA's prosqa_valid.json, plain or gzipped."""
    write_rows(folder / "warm-up.jsonl.gz", itertools.islice(lookups(_DATA_SEED), size.warm_up_rows))
    write_rows(folder / "train.jsonl.gz", itertools.islice(rows("train", _DATA_SEED), size.train_rows))
    write_rows(folder / "test.jsonl.gz", itertools.islice(rows("test", _DATA_SEED, HOPS), size.test_rows))
    write_rows(folder / "long.jsonl.gz", itertools.islice(rows("long", _DATA_SEED, LONG_HOPS), size.test_rows))
    if valid is not None:
        write_rows(folder / "published.jsonl.gz", published(_entries(valid)))
    for seed in seeds:
        start = folder / f"start-{seed}"
        if not start.exists():
            write_start(start, WORDS, size.model, seed)


def _entries(path: Path) -> list[dict[str, object]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return list(json.load(file))
