"""Answers in texts that models write: by marks, or without any."""

import pytest

from rim_edge.evaluation.extraction import Mark, anywhere, behind_prefix
from rim_edge.evaluation.items import Item

PREFIX = "The final answer is \\boxed{"
OPTIONS = "Which vitamin prevents scurvy?\nA: Vitamin A\nB: Vitamin B12\nC: Vitamin C\nD: Vitamin D"


def number(text, right="18"):
    return anywhere(text, Item("How many?", right, ""), PREFIX)


def letter(text, letters="ABCD"):
    return anywhere(text, Item(OPTIONS, "C", letters), PREFIX)


@pytest.mark.parametrize(
    ("text", "answer", "mark"),
    [
        ("9 * 2 = 18.\n#### 18", "18", Mark.RESULT),
        ("#### 17\nNo.\n#### $18.00\nThat is all, 5 of 5.", "18", Mark.RESULT),
        ("#### The answer is 18 dollars", "18", Mark.RESULT),
        (r"So we get \boxed{18}. Check: 20 - 2.", "18", Mark.BOX),
        (r"\boxed{18", "18", Mark.BOX),
        (r"\boxed{\frac{36}{2}}", "18", Mark.BOX),
        (r"The final answer is \boxed{18} and 3 more", "18", Mark.BOX),
        ("The answer is 18 dollars. She has 3 ducks.", "18", Mark.SAID),
        ("Answer: 2,125", "2125", Mark.SAID),
        ("16 - 3 - 4 = 9, 9 * 2 = 18", "18", Mark.BARE),
        ("She makes $18 every day.", "18", Mark.BARE),
        ("I do not know.", "", Mark.NOTHING),
        ("", "", Mark.NOTHING),
        ("####", "", Mark.NOTHING),
    ],
)
def test_a_number_is_found_by_the_clearest_mark(text, answer, mark):
    found = number(text)
    assert (found.answer, found.mark) == (answer, mark)


@pytest.mark.parametrize(
    ("text", "answer", "mark"),
    [
        ("C", "C", Mark.BARE),
        ("(C) Vitamin C", "C", Mark.BARE),
        ("C: Vitamin C", "C", Mark.BARE),
        ("**C.** It prevents scurvy.", "C", Mark.BARE),
        (r"A is wrong, B too. \boxed{C}", "C", Mark.BOX),
        ("The answer is C.", "C", Mark.SAID),
        ("The correct answer is (C), not A.", "C", Mark.SAID),
        ("Answer: Vitamin C", "C", Mark.SAID),
        ("A deficiency of it causes scurvy, so it is C", "C", Mark.BARE),
        (r"\boxed{Vitamin C}", "C", Mark.BOX),
        ("I think a fruit helps.", "", Mark.NOTHING),
        ("E", "", Mark.NOTHING),
    ],
)
def test_a_letter_stands_alone_and_is_one_of_those_that_are_offered(text, answer, mark):
    found = letter(text)
    assert (found.answer, found.mark) == (answer, mark)


def test_a_text_is_the_answer_where_the_right_one_is_text():
    assert number("Paris.", "Paris").answer == "Paris"
    assert number("The answer is Paris. It is in France.", "Paris").answer == "Paris"
    assert number("It is Paris, in France.", "Paris").answer != "Paris"


def test_behind_the_prefix_the_text_begins_with_the_answer():
    assert behind_prefix(r"\frac{1}{2}} and more", Item("How many?", "0.5", "")).answer == "0.5"
    assert behind_prefix("18 apples}", Item("How many?", "18", "")).answer == "18"
    assert behind_prefix("xC} D", Item(OPTIONS, "C", "ABCD")).answer == "C", (
        "the first of A to J, as the card reads"
    )
    assert behind_prefix("none", Item(OPTIONS, "C", "ABCD")).mark is Mark.NOTHING
