"""Answers in their box: where they end, and in which form two are compared."""

import pytest

from rim_edge.data.boxes import boxed_text, canonical, fits_box


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
    ("one", "other"),
    [
        ("1,000", "1000"),
        ("1,234,567.50", "1234567.5"),
        ("+5", "5"),
        ("-0", "0"),
        ("1e3", "1000"),
        ("007", "7"),
        (".5", "0.50"),
        ("$1,000", "1000.0"),
        ("Lisch  nodules", " Lisch nodules\n"),
    ],
)
def test_the_same_in_one_form(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12345678901234567891", "12345678901234567892"),  # equal as floats
        ("0.1", "0.1000000000000000055511151231257827"),
        ("1,5", "15"),  # a decimal comma
        ("1,23", "123"),
        ("nan", "NaN"),  # words, not numbers
        ("1e999", "1e998"),
        ("1_000", "1000"),
    ],
)
def test_different_answers_stay_different(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize("text", ["e5", ".", "-", "1e9999", "", "1.2.3"])
def test_what_is_almost_a_number_stays_text(text):
    assert canonical(text) == text
