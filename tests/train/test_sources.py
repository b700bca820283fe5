"""Where examples come from."""

import re

from rim_edge.demo.puzzles import fresh_puzzles
from rim_edge.train.examples import Example
from rim_edge.train.sources import PuzzleSource, RowSource
from rim_edge.train.switches import Objective


def test_every_row_comes_once_before_any_comes_again():
    rows = [Example(str(number), (), "A") for number in range(7)]
    source = RowSource(rows, 1)
    drawn = [example for _ in range(7) for example in source.draw(3, Objective.ANSWER)]
    for start in (0, 7, 14):
        assert sorted(example.question for example in drawn[start : start + 7]) == list("0123456")
    assert source.draw(3, Objective.STEPS) != RowSource(rows, 2).draw(3, Objective.STEPS)


def test_puzzles_are_fresh_solved_and_none_of_those_that_measure():
    source = PuzzleSource(0)
    examples = [*source.draw(300, Objective.TEXT), *source.draw(300, Objective.STEPS)]
    for example in examples:
        doors = dict(re.findall(r"The door in (\w) leads to (\w)", example.question))
        room = re.search(r"start in (\w)", example.question)[1]
        for step in example.steps:
            room = doors[room]
            assert step == room
        assert example.answer == room
    questions = {example.question for example in examples}
    assert len(questions) > 550
    assert not questions & {puzzle.question for puzzle in fresh_puzzles(1_000, 2_000)}


def test_the_text_restates_true_facts_and_then_the_chain():
    for example in PuzzleSource(1).draw(100, Objective.TEXT):
        text = "".join(span.text for span in example.spans)
        doors = dict(re.findall(r"The door in (\w) leads to (\w)", example.question))
        assert all(doors[room] == target for room, target in re.findall(r"(\w) (\w)\. ", text))
        start = re.search(r"start in (\w)", example.question)[1]
        assert text.endswith(" ".join((start, *example.steps)))
        assert [span.text for span in example.spans if span.labelled][-3:] == list(example.steps)
