"""Rows for demo.toml: the demo's own puzzles, with their steps; no puzzle is in two files.

    python examples/qthink/puzzles.py DIR

Training rows are never held out, test rows always are (rim_edge/puzzles/fresh.py). Seeded.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from rim_edge.puzzles.fresh import DRAWN, fresh_puzzles, held_out
from rim_edge.puzzles.puzzle import Family, Puzzle

TRAIN, TEST = 8_000, 999
TEST_SEED = 2_000
"""The puzzles that the demo's own training is scored on."""


def train_puzzles(count: int) -> list[Puzzle]:
    """Return different puzzles of all families in turn, none of them held out."""
    rng, families, found = random.Random("rim-edge qthink puzzles"), list(Family), dict[str, Puzzle]()
    while len(found) < count:
        puzzle = DRAWN[families[len(found) % len(families)]](rng)
        if not held_out(puzzle):
            found.setdefault(" ".join(puzzle.question.split()), puzzle)
    return list(found.values())


def write(path: Path, puzzles: Sequence[Puzzle]) -> None:
    """Write a row for each puzzle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(puzzle.row()) + "\n" for puzzle in puzzles), encoding="utf-8")


def main() -> None:
    """Read the arguments and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where train.jsonl and test.jsonl are written")
    folder = parser.parse_args().folder
    write(folder / "train.jsonl", train_puzzles(TRAIN))
    write(folder / "test.jsonl", fresh_puzzles(TEST, TEST_SEED))


if __name__ == "__main__":
    main()
