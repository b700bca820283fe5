"""What a run is scored on after its stages and never trained on: rows of a file, or fresh puzzles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rim_edge.data.files import ReadFile
from rim_edge.errors import DataError
from rim_edge.evaluation.items import ANSWER_TOKENS, Item, items_of
from rim_edge.evaluation.leaks import Questions
from rim_edge.methods.encoder import TextEncoder
from rim_edge.puzzles.fresh import fresh_puzzles

PUZZLES_SEED = 2_000
"""Seed of the fresh puzzles; training has a random stream of its own."""
PUZZLES = 1_000
"""Number of fresh puzzles."""


@dataclass(frozen=True)
class HeldOut:
    """Items to score, and what was found when they were read."""

    name: str
    """The file's name, or what was generated."""
    items: tuple[Item, ...]
    """What is scored."""
    skipped: int = 0
    """Bad rows, left out with --skip-bad."""
    first_bad: str | None = None
    """Why the first of them is bad."""
    too_long: int = 0
    """Rows left out because they exceed the model's positions."""
    trained_on: int = 0
    """Scored rows whose question is in the training data too."""
    reworded: int = 0
    """Other scored rows whose question is there with other options, or with the same ones in another order."""


def held_out_puzzles() -> HeldOut:
    """Return fresh puzzles."""
    puzzles = fresh_puzzles(PUZZLES, PUZZLES_SEED)
    return HeldOut(
        "fresh puzzles", tuple(Item(puzzle.question, puzzle.answer, puzzle.letters) for puzzle in puzzles)
    )


def hold_out(read: ReadFile, encoder: TextEncoder, training: Sequence[ReadFile], positions: int) -> HeldOut:
    """Return the items of rows that fit the model, and how many of them are trained on. Raises DataError."""
    items = items_of(read.examples)
    kept = tuple(item for item in items if fits_positions(item, encoder, positions))
    if not kept:
        raise DataError(f"No row of {read.file.path} fits the model's {positions} positions. Pass another file.")
    trained = Questions.of(example.question for file in training for example in file.examples)
    return HeldOut(
        name=read.file.path.name,
        items=kept,
        skipped=read.skipped,
        first_bad=read.first_bad,
        too_long=len(items) - len(kept),
        trained_on=sum(trained.has(item.question) for item in kept),
        reworded=sum(trained.has_reworded(item.question) for item in kept),
    )


def fits_positions(item: Item, encoder: TextEncoder, positions: int) -> bool:
    """Whether an item with all blocks is within the model's positions; what is far beyond is not even encoded."""
    if encoder.least_tokens(item.question) > positions:
        return False
    contract = encoder.contract
    asked = len(encoder.prompt(item.question)) + len(contract.block) * contract.blocks + len(contract.prefix)
    return asked + (0 if item.letters else ANSWER_TOKENS) <= positions
