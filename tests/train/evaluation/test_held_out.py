"""What is scored: which of its questions the training data has too, in whatever order their options come."""

from pathlib import Path

import pytest

from rim_edge.data.files import ReadFile
from rim_edge.data.rows import Example
from rim_edge.evaluation.held_out import hold_out
from rim_edge.evaluation.leaks import Questions
from rim_edge.recipe.inputs import DataFile


def read(name, *questions):
    return ReadFile(DataFile(Path(name)), tuple(Example(question, (), "A") for question in questions))


def test_questions_are_recognized_with_their_options_and_without(encoder):
    training = read("train", "Which one?\nA: x\nB: y", "Who is it?\nA: p\nB: q\nC: r", "How many are there?")
    scored = read(
        "test",
        "Which  one?\nA: x\nB: y",  # the same
        "Which one?\nA: y\nB: x",  # options swapped
        "Who is it?",  # options left out
        "How many are there?\nA: 1\nB: 2",  # options added
        "Which other one?\nA: x\nB: y",  # the options alone are the same
    )
    found = hold_out(scored, encoder, [training], 512)
    assert (found.trained_on, found.reworded, len(found.items)) == (1, 3, 5)
    assert hold_out(scored, encoder, [], 512).reworded == 0


@pytest.mark.parametrize(
    ("asked", "same", "reworded"),
    [
        ("WHICH one?\nA: x\nB: y", True, False),
        ("Which one\nA: x\nB: y", False, True),  # the mark inside is text; the stem's end is not
        ("Which one?\nA. y\nB. x\nC. z", False, True),
        ("Which one?\n\n(A) y\n(B) x", False, True),
        ("\uff37hich one?\nA: x\nB: y", True, False),
        ("Which two?\nA: x\nB: y", False, False),
        ("A: x\nB: y", False, False),
        ("HOW MANY ARE  THERE", True, False),
        ("How many are there?\nA) 3\nB) 4", False, True),
    ],
)
def test_a_question_is_the_same_in_other_letters_and_forms_of_options(asked, same, reworded):
    known = Questions.of(["Which one?\nA: x\nB: y", "How many are there?"])
    assert (known.has(asked), known.has_reworded(asked)) == (same, reworded)
