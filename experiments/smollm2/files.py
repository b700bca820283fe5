"""Writes the rows: the demo's rooms with two doors to walk through, in English; no puzzle is in two files."""

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
DOORS = 2
"""A step, then the answer."""
TRAIN, DEV, TEST = 2_400, 60, 400
"""Of the first as many as the recipe draws, so that no row comes twice."""


def write_files(folder: Path, seeds: Sequence[int]) -> None:
    """Write whatever is not there yet; the model is pretrained, so no seed has one of its own."""
    del seeds
    fresh = distinct_puzzles()
    drawn = list(itertools.islice(fresh, 8 * (DEV + TEST)))
    kept = [puzzle for puzzle in drawn if held_out(puzzle)]
    others = itertools.chain(drawn, fresh)
    trained = itertools.islice((puzzle for puzzle in others if not held_out(puzzle)), TRAIN)
    parts = {"train": trained, "dev": kept[:DEV], "test": kept[DEV : DEV + TEST]}
    for name, puzzles in parts.items():
        write_rows(folder / f"{name}.jsonl.gz", map(row_of, puzzles))


def row_of(puzzle: Puzzle) -> dict[str, object]:
    """Return the row: the room behind the last door is the answer, those before it are the steps."""
    return {**puzzle.row(), "steps": list(puzzle.steps[:-1])}


def distinct_puzzles() -> Iterator[Puzzle]:
    """Give puzzles without end, no text twice; line breaks do not make a text another one."""
    rng = random.Random("rim-edge smollm2 two doors")
    seen = set()
    while True:
        puzzle = draw_rooms(rng, rng.choice(ROOMS), hops=DOORS)
        text = " ".join(puzzle.question.split())
        if text not in seen:
            seen.add(text)
            yield puzzle
