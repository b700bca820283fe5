"""What is scored: which of its questions the training data has too, in whatever order their options come."""

from pathlib import Path

from rim_edge.data.files import ReadFile
from rim_edge.data.rows import Example
from rim_edge.evaluation.held_out import hold_out
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
