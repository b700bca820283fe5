"""Text without a right answer: nothing in it decides."""

import random
import re

import pytest
from rim_runtime.prompt.options import LETTERS, offered_options

from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.puzzle import Family
from rim_edge.puzzles.unanswerable import draw_unanswerable, spoilt


def test_a_stranger_offers_what_it_may_be_answered_with():
    rng = random.Random(1)
    drawn = [draw_unanswerable(rng) for _ in range(500)]
    for stranger in drawn:
        assert stranger.letters == ("".join(offered_options(stranger.question)) or LETTERS)
    assert len({stranger.question for stranger in drawn}) == 500
    assert 0.5 < sum(bool(offered_options(stranger.question)) for stranger in drawn) / 500 < 0.8


@pytest.mark.parametrize("family", list(Family))
def test_a_spoilt_puzzle_lacks_its_task_its_facts_or_the_right_option(family):
    rng = random.Random(2)
    seen = set()
    for puzzle in fresh_puzzles(300, 11, family):
        stranger = spoilt(puzzle, rng)
        options = offered_options(stranger.question)
        text, _ = puzzle.text_and_options
        task = re.split(r"[.?]\s", text)[-1]
        if task not in stranger.question:
            seen.add("task")
        elif len(options) < len(puzzle.offered):
            assert puzzle.steps[-1] not in options.values()
            seen.add("option")
        else:
            assert len(re.findall(r" leads to | than | puts in | takes out ", stranger.question)) == 0
            seen.add("facts")
        assert len(stranger.question) < len(puzzle.question)
        assert stranger.letters == ("".join(options) or puzzle.letters)
    assert seen == ({"task", "facts"} if family is Family.ROOMS else {"task", "facts", "option"})
