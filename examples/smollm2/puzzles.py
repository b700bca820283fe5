"""Rows for puzzles.toml: the demo's rooms with one door to walk through, in plain English; none is in two files.

    python examples/smollm2/puzzles.py DIR

Training rows are never held out, dev and test rows always are (rim_edge/puzzles/fresh.py). Seeded.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

from rim_edge.puzzles.fresh import held_out
from rim_edge.puzzles.puzzle import Puzzle
from rim_edge.puzzles.rooms import draw_rooms

ROOMS = (4, 5)
"""How many rooms a puzzle has. Few, because a processor trains some hundred tokens a second."""
TRAIN, DEV, TEST = 4_000, 100, 1_032


def distinct_puzzles() -> Iterator[Puzzle]:
    """Yield puzzles without end, no text twice; line breaks do not make a text another one."""
    rng = random.Random("rim-edge smollm2 puzzles")
    seen = set()
    while True:
        puzzle = draw_rooms(rng, rng.choice(ROOMS), hops=1)
        text = " ".join(puzzle.question.split())
        if text not in seen:
            seen.add(text)
            yield puzzle


def write_rows(folder: Path) -> None:
    """Write train.jsonl, dev.jsonl and test.jsonl."""
    train: list[Puzzle] = []
    kept: list[Puzzle] = []
    for puzzle in distinct_puzzles():
        (kept if held_out(puzzle) else train).append(puzzle)
        if len(train) >= TRAIN and len(kept) >= DEV + TEST:
            break
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": train[:TRAIN], "dev": kept[:DEV], "test": kept[DEV : DEV + TEST]}
    for name, puzzles in parts.items():
        lines = [json.dumps(puzzle.row()) + "\n" for puzzle in puzzles]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def main() -> None:
    """Read the arguments and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where train.jsonl, dev.jsonl and test.jsonl are written")
    write_rows(parser.parse_args().folder)


if __name__ == "__main__":
    main()
