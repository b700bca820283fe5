"""Where examples come from."""

import re

import pytest
from rim_runtime.prompt.options import offered_options

from rim_edge.data import puzzle_source
from rim_edge.data.puzzle_source import PuzzleSource
from rim_edge.data.rows import Example
from rim_edge.data.sources import RowSource
from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.recipe.switches import Objective


def test_every_row_comes_once_before_any_comes_again():
    rows = [Example(str(number), (), "A") for number in range(7)]
    source = RowSource(rows, 1)
    drawn = [example for _ in range(7) for example in source.draw(3, Objective.ANSWER)]
    for start in (0, 7, 14):
        assert sorted(example.question for example in drawn[start : start + 7]) == list("0123456")
    assert source.draw(3, Objective.STEPS) != RowSource(rows, 2).draw(3, Objective.STEPS)


def test_puzzles_are_fresh_and_none_of_those_that_measure():
    source = PuzzleSource(0)
    examples = [*source.draw(300, Objective.TEXT), *source.draw(700, Objective.STEPS)]
    questions = {example.question for example in examples}
    assert len(questions) > 900
    assert not questions & {puzzle.question for puzzle in fresh_puzzles(1_000, 2_000)}
    assert PuzzleSource(0).draw(300, Objective.TEXT) == examples[:300]


@pytest.mark.parametrize(("objective", "without_answer"), [(Objective.STEPS, 0.04), (Objective.ANSWER, 0.2)])
def test_all_families_come_and_some_examples_have_no_right_answer(objective, without_answer):
    examples = PuzzleSource(2).draw(1_000, objective)
    strangers = [example for example in examples if not example.steps]
    assert len(strangers) / len(examples) == pytest.approx(without_answer, abs=0.03)
    for words in ("rooms", "ages", "apples"):
        assert sum(words in example.question for example in examples) > 150
    assert len({example.answer for example in strangers}) > 5
    for example in strangers:
        assert example.answer in (offered_options(example.question) or "ABCDEFGHIJ")


def test_the_text_asks_small_questions_with_true_answers_and_then_tells_the_steps(monkeypatch):
    marks = {True: set(), False: set()}
    source = PuzzleSource(1)
    monkeypatch.setattr(puzzle_source, "_SHALLOW_TEXTS", 200)
    shallow, later = source.draw(200, Objective.TEXT), source.draw(200, Objective.TEXT)
    for example in shallow + later:
        assert [span.text for span in example.spans if span.labelled][12:] == list(example.steps)
        leads = dict(re.findall(r"(\w+) (?:leads to|is \w+ than) (\w+)", example.question))
        spans = iter(example.spans)
        for mark, known, found in list(zip(spans, spans, spans, strict=False))[:12]:
            marks[example in shallow].add(mark.text)
            place = known.text
            if "apples" in example.question:
                continue  # the totals after a person's move are tested with the puzzles
            for _ in range(".,;".index(mark.text) + 1):
                place = leads[place]
            assert found.text == place
    assert marks == {True: set("."), False: set(".,;")}
