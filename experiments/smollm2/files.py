"""Writes the rows: the demo's rooms with one door or two, in plain English; no puzzle is in two files."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.rows import write_rows
from rim_edge.puzzles.fresh import held_out
from rim_edge.puzzles.puzzle import Puzzle
from rim_edge.puzzles.rooms import draw_rooms

ROOMS = (4, 5)
"""How many rooms a puzzle has. Few, because a processor trains some hundred tokens a second."""
DOORS = (1, 2)
"""Doors of the training puzzles, as often: one has no step, two have one."""
SCORED = {"two-doors": (2, 300), "one-door": (1, 100), "dev": (2, 60)}
"""Doors and number of the questions in each file."""
TRAIN = 2_800
"""As many rows as the recipe draws, so that none comes twice."""


def write_files(folder: Path, seeds: Sequence[int]) -> None:
    """Write whatever is not there yet; the model is pretrained, so no seed has one of its own."""
    del seeds
    trained = (puzzle for puzzle in distinct_puzzles("train", DOORS) if not held_out(puzzle))
    write_rows(folder / "train.jsonl.gz", map(row_of, itertools.islice(trained, TRAIN)))
    drawn = {doors: distinct_puzzles(f"scored {doors}", (doors,)) for doors in DOORS}
    for name, (doors, count) in SCORED.items():
        scored = (puzzle for puzzle in drawn[doors] if held_out(puzzle))
        write_rows(folder / f"{name}.jsonl.gz", map(row_of, itertools.islice(scored, count)))


def row_of(puzzle: Puzzle) -> dict[str, object]:
    """Return the row: the room behind the last door is the answer, those before it are the steps."""
    return {**puzzle.row(), "steps": list(puzzle.steps[:-1])}


def distinct_puzzles(seed: str, doors: Sequence[int]) -> Iterator[Puzzle]:
    """Give puzzles without end, no text twice; line breaks do not make a text another one."""
    rng = random.Random(f"rim-edge smollm2 doors {seed}")
    seen = set()
    while True:
        puzzle = draw_rooms(rng, rng.choice(ROOMS), hops=rng.choice(doors))
        text = " ".join(puzzle.question.split())
        if text not in seen:
            seen.add(text)
            yield puzzle
