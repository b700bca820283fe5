"""Answers in their box: where they end."""

import pytest

from rim_edge.data.boxes import boxed_text, fits_box, last_box


@pytest.mark.parametrize(
    "answer",
    ["12", r"\frac{1}{2}", r"\left\{ 1, 2 \right.", r"\{1\}", r"x^{2^{3}}", "", r"\text{a} \\"],
)
def test_an_answer_is_read_back_out_of_its_box(answer):
    assert boxed_text(answer + "} and {more}") == answer
    assert fits_box(answer)


def test_a_box_that_is_not_closed_holds_all_of_it():
    assert boxed_text(r"\frac{1}{2") == r"\frac{1}{2"


@pytest.mark.parametrize("answer", ["a}b", "{a", ":-}", "a\\"])
def test_braces_without_a_partner_do_not_fit(answer):
    assert not fits_box(answer)


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"so \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{3}, no: \boxed{4}", "4"),
        (r"it is \boxed{4", "4"),
        ("it is 4", None),
    ],
)
def test_the_last_box_of_a_text_holds_its_answer(text, boxed):
    assert last_box(text) == boxed
