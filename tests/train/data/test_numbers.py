"""Numbers as they stand in texts."""

import pytest

from rim_edge.data.canonical import canonical
from rim_edge.data.numbers import exact_number, last_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She has 3 apples, then 5 more: 8 in all.", "8"),
        ("That is $2,125.", "2125"),
        ("It costs $ 1,234.50 a year.", "1234.5"),
        ("So 10-3 = 7.", "7"),
        ("We get -4", "-4"),
        ("a loss of -$5!", "-5"),
        ("it is (-4).", "-4"),
        ("half, or 1/2", "0.5"),
        (r"thus \frac{3}{4}", "0.75"),
        ("in 2024 it was 5%", "5"),
        ("the answer is 12345678901234567890123", "12345678901234567890123"),
        ("no more than .5", "0.5"),
        ("a decimal comma: 1,5", "1,5"),
    ],
)
def test_the_last_number_of_a_text(text, number):
    found = last_number(text)
    assert found is not None
    assert canonical(found) == number


def test_numbers_of_many_digits_are_read_exactly():
    long = "1234567890123456789012345678901"
    assert exact_number(f"{long}/2") == "617283945061728394506172839450.5"
    assert exact_number(f"{long}2/10") == f"{long}.2"


@pytest.mark.parametrize("text", ["", "none at all", "vitamin B12", "..."])
def test_a_text_without_numbers(text):
    assert last_number(text) is None
