"""The form in which two answers are compared."""

import gzip
import json

import pytest

from rim_edge.data.canonical import canonical, canonical_like
from rim_edge.data.rows import example_of_line
from tests.places import SHARED


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
        (r"\$15.48", "15.480"),
        ("-$5", "-5"),
        ("−5", "-5"),
        ("50 %", r"50\%"),
        ("2{,}125", "2125"),
        (r"85,\!184", "85184"),
        ("18.", "18"),
        ("$18$", "18"),
        (r"\(18\)", "18"),
        ("**18**", "18"),
        (r"\frac{2}{4}", "0.5"),
        (r"\dfrac12", "1/2"),
        (r"-\tfrac34", "-0.75"),
        ("2/3", r"\frac{4}{6}"),
        ("1 1/2", r"1\frac{1}{2}"),
        ("6/3", "2"),
        (r"90^\circ", "90"),
        (r"180^{\circ}", "180°"),
        (r"0.25\,\text{ cm}", "0.25"),
        (r"10\text{ cm}^2", "10"),
        (r"\frac{68}{3}\text{ pounds}", "68/3"),
        (r"\text{even}", "even"),
        (r"\left[0, 1\right]", "[0, 1]"),
        ("Paris.", "Paris"),
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
        ("1/3", "0.3333333333"),
        ("9" * 5000 + "1", "9" * 5000 + "2"),
        ("18 dollars", "18"),  # a right answer that has a unit wants it
        ("Paris", "paris"),
    ],
)
def test_different_answers_stay_different(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize("text", ["e5", ".", "-", "1e9999", "", "1.2.3", "1/0", "U.S.A", "..."])
def test_what_is_almost_a_number_stays_text(text):
    assert canonical(text) == text


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("18 dollars", "18"),
        ("18 dollars per day.", "18"),
        ("$2,125 in total", "2125"),
        ("x = 18", "18"),
        ("3 + 4 = 7 apples", "7"),
        ("5 km/h", "5"),
        ("12 cm^2", "12"),
        (r"\frac{1}{2} of it", "0.5"),
    ],
)
def test_a_unit_is_left_out_where_the_right_answer_is_a_bare_number(given, right):
    assert canonical_like(given, right) == right


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("5 and a half", "5"),
        ("5 million", "5"),
        ("3 or 4", "3"),
        ("about 5", "5"),
        ("3 cats", "3 dogs"),
        ("3", "3 dogs"),
        ("18x", "180"),
    ],
)
def test_words_that_change_a_number_are_no_unit(given, right):
    assert canonical_like(given, right) != right


def test_a_fraction_of_many_digits_is_text_and_takes_no_time():
    assert canonical(f"{'1' * 2000}/3") == f"{'1' * 2000}/3"
    assert canonical(f"1/{2**3000}") == f"1/{2**3000}"


def test_the_comma_of_a_result_is_left_out_between_thousands_alone():
    assert example_of_line("How much?||<<1+1=2>> #### 2,125", None).answer == "2125"
    assert example_of_line("How much?||<<1+1=2>> #### 1,5", None).answer == "1,5"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets are not here")
def test_every_answer_of_gsm8k_is_a_number_and_its_own_form():
    with gzip.open(SHARED / "gsm8k" / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        answers = [json.loads(line)["answer"].rpartition("####")[2].strip() for line in lines]
    assert len(answers) == 1319
    for answer in answers:
        form = canonical(answer)
        assert form == answer.replace(",", "")
        assert canonical(form) == form
        assert canonical_like(f"\\${answer}.00 dollars", form) == form


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets are not here")
def test_the_form_of_every_answer_of_math_is_its_own_form():
    with gzip.open(SHARED / "math" / "agieval_math.jsonl.gz", "rt", encoding="utf-8") as lines:
        answers = [json.loads(line)["answer"] for line in lines]
    assert [canonical(canonical(answer)) for answer in answers] == [canonical(answer) for answer in answers]
