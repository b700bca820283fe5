"""Unanswerable questions: random words or puzzles without a solution, of which the demo learns to be unsure.

Each comes with the letters it may be answered with; none is right, so training draws one of them at random.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from rim_runtime.prompt.options import LETTERS, render_options

from rim_edge.puzzles.puzzle import Puzzle

_COMMON = (
    "a the of to and in is that it was for on are as with his they at be this from have or by one had not "
    "but what all were when we there can an your which their said if do will each about how up out them "
    "then she many some so these would other into has more her two like him see time could no make than "
    "first been its who now people my made over did down only way find use may water long little very "
    "after words called just where most know "
)
WORDS = tuple(_COMMON.split())
"""Common words, which are also tokens."""
_CHARACTERS = "eeeeeetttttaaaaooooiiiinnnnssssrrrhhhlldddccuummffppggwwyybbvkxjqz"


@dataclass(frozen=True)
class Unanswerable:
    """A question without a right answer."""

    question: str
    """Its text, options included."""
    letters: str
    """The letters it may be answered with."""


def draw_unanswerable(rng: random.Random) -> Unanswerable:
    """Draw a text of random words; two in three have options."""
    text = f"{_sentences(rng)}?"
    if rng.random() < 1 / 3:
        return Unanswerable(text, LETTERS)
    options = [_words(rng, rng.randint(1, 3)) for _ in range(rng.randint(2, len(LETTERS)))]
    return Unanswerable(render_options(text, options), LETTERS[: len(options)])


def spoilt(puzzle: Puzzle, rng: random.Random) -> Unanswerable:
    """Return a puzzle without its task, its facts, or the right option (the others shuffled)."""
    text, lines = puzzle.text_and_options
    options = [said for said, _ in puzzle.offered]
    sentences = text.replace("\n", " ").split(". ")
    match rng.choice(["task", "facts", "options"]):
        case "task":
            text = ". ".join(sentences[:-1])
        case "options" if lines:
            options = rng.sample(options, len(options))
            options.remove(puzzle.steps[-1])
        case _:
            text = f"{sentences[0]}. {sentences[-1]}"
    if not options:
        return Unanswerable(text, puzzle.letters)
    return Unanswerable(render_options(text, options), LETTERS[: len(options)])


def _sentences(rng: random.Random) -> str:
    return ". ".join(_words(rng, rng.randint(3, 9)).capitalize() for _ in range(rng.choice((1, 1, 1, 2, 3))))


def _words(rng: random.Random, count: int) -> str:
    return " ".join(_word(rng) for _ in range(count))


def _word(rng: random.Random) -> str:
    drawn = rng.random()
    if drawn < 0.6:
        return rng.choice(WORDS)
    if drawn < 0.65:
        return str(rng.randint(0, 999))
    return "".join(rng.choices(_CHARACTERS, k=rng.randint(2, 9)))
