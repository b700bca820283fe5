"""An endless source of examples: freshly drawn puzzles."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rim_edge.data.rows import Example, Span
from rim_edge.puzzles.baskets import draw_basket
from rim_edge.puzzles.fresh import held_out
from rim_edge.puzzles.ordering import draw_ordering
from rim_edge.puzzles.puzzle import HOPS, SMALLEST, Family, Puzzle
from rim_edge.puzzles.rooms import Maps, draw_rooms
from rim_edge.puzzles.unanswerable import draw_unanswerable, spoilt
from rim_edge.recipe.switches import Objective


class PuzzleSource:
    """Draws fresh puzzles, more varied than the scored ones and never held out, and unanswerable questions.

    Some have fewer rooms or people, most of those in the text stage: with two or three facts to choose from, a
    tiny model learns to look one up; with eight it stays at chance for a long time.
    """

    def __init__(self, seed: int, families: Sequence[Family] = tuple(Family)) -> None:
        self._rng = random.Random(f"rim-edge training puzzles {seed}")
        self._families = families
        self._texts = 0

    def draw(self, count: int, objective: Objective) -> list[Example]:
        """Return `count` fresh puzzles."""
        if objective is Objective.TEXT:
            self._texts += count
            deepest = 1 if self._texts <= _SHALLOW_TEXTS else HOPS
            return [puzzle_example(self._puzzle(objective), self._rng, deepest) for _ in range(count)]
        return [self._any(objective) for _ in range(count)]

    def _any(self, objective: Objective) -> Example:
        rng, puzzle = self._rng, self._puzzle(objective)
        if rng.random() >= _WITHOUT_ANSWER.get(objective, 0.1):
            return puzzle_example(puzzle, rng)
        stranger = spoilt(puzzle, rng) if rng.random() < _SPOILT_SHARE else draw_unanswerable(rng)
        return Example(stranger.question, (), rng.choice(stranger.letters))

    def _puzzle(self, objective: Objective) -> Puzzle:
        while held_out(puzzle := self._drawn(objective)):
            pass
        return puzzle

    def _drawn(self, objective: Objective) -> Puzzle:
        rng = self._rng
        sizes = _TEXT_SIZES if objective is Objective.TEXT else _SIZES
        weights = _LATE_WEIGHTS if objective is Objective.ANSWER else _FAMILY_WEIGHTS
        size, hops = rng.choice(sizes), rng.choice(_HOPS)
        kind = rng.choices(list(Maps), weights=_MAP_WEIGHTS)[0]
        match rng.choices(self._families, [weights[family] for family in self._families])[0]:
            case Family.ROOMS:
                return draw_rooms(rng, size, hops, kind)
            case Family.ORDERING:
                return draw_ordering(rng, size, min(hops, size))
            case Family.BASKETS:
                return draw_basket(rng, max(size, SMALLEST), hops)


_TEXT_SIZES = (2, 3, 4, 6, 8, 8)
_SIZES = (3, 4, 5, 6, 7, 8, 8, 8)
_HOPS = (1, 2, 3, 3, 3)
_FAMILY_WEIGHTS = {Family.ROOMS: 2, Family.ORDERING: 1, Family.BASKETS: 1}
_LATE_WEIGHTS = {Family.ROOMS: 1, Family.ORDERING: 3, Family.BASKETS: 1}
_MAP_WEIGHTS = (5, 4, 1)
_SPOILT_SHARE = 0.5
_WITHOUT_ANSWER = {Objective.STEPS: 0.04, Objective.ANSWER: 0.2}
_SHALLOW_TEXTS = 12_800
_SHALLOW, _DEEP = 4, 8
_MARKS = ".,;"


def puzzle_example(puzzle: Puzzle, rng: random.Random, deepest: int = HOPS) -> Example:
    """Return a puzzle as an example whose text stage asks many small questions about it, then gives the steps.

    A small question is a mark (how many facts to follow), a start word, and the word that is found. Those that
    follow one fact come first, then those that follow more, `deepest` at most. All are drawn independently.
    """
    asked = _small_questions(puzzle)
    facts = [one for one in asked if one[0] == _MARKS[0]]
    deeper = [one for one in asked if one[0] in _MARKS[1:deepest]]
    spans = []
    for kind, count in ((facts, _SHALLOW), (deeper or facts, _DEEP)):
        for mark, known, found in rng.choices(kind, k=count):
            spans += [Span(mark, False), Span(known, False), Span(found, True)]
    spans.append(Span("!", False))
    spans += [Span(step, True) for step in puzzle.steps]
    return Example(puzzle.question, puzzle.steps, puzzle.answer, tuple(spans))


def _small_questions(puzzle: Puzzle) -> list[tuple[str, str, str]]:
    """Return the possible small questions as (mark, start word, word that is found)."""
    leads, asked = dict(puzzle.told), []
    for word in leads:
        found = word
        for mark in _MARKS:
            if found not in leads:
                break
            found = leads[found]
            asked.append((mark, word, found))
    return asked
