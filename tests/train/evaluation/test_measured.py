"""pass@k, and what answers took."""

from itertools import combinations

import pytest

from rim_edge.evaluation.extraction import Mark
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.measured import measure, passed
from rim_edge.evaluation.reading import Given


def written(*samples, **values):
    return Given("4", text="4", mark=Mark.BOX, samples=samples, **values)


@pytest.mark.parametrize("right", range(6))
@pytest.mark.parametrize("k", range(1, 6))
def test_samples_give_the_share_of_all_draws_of_k_that_have_a_right_one(right, k):
    samples = [*right * ["4"], *(5 - right) * ["5"]]
    draws = list(combinations(samples, k))
    expected = sum("4" in draw for draw in draws) / len(draws)
    assert passed(written(*samples), "4", k) == pytest.approx(expected)


def test_letters_need_no_samples():
    given = Given("A", {"A": 0.75, "B": 0.25})
    assert passed(given, "B", 1) == 0.25
    assert passed(given, "B", 2) == pytest.approx(1 - 0.75**2)
    assert passed(given, "C", 8) == 0.0, "a letter that is not offered"


def test_what_was_measured_is_a_mean_over_questions():
    items = [Item("1?", "4", ""), Item("2?", "5", "")]
    given = [
        written("4", "5", tokens=3, first_ms=10.0, full_ms=30.0),
        written("4", "4", tokens=5, cut=True, first_ms=20.0, full_ms=50.0),
    ]
    found = measure(items, given, [1, 2])
    assert (found.tokens, found.cut, found.marks) == (4, 1, {"box": 2})
    assert (found.first_ms, found.full_ms) == (15, 40)
    assert found.pass_at == {1: 0.25, 2: 0.5}


def test_times_are_told_where_all_were_asked_alone():
    found = measure([Item("1?", "4", "")] * 2, [written(first_ms=1.0, full_ms=1.0), written()], [])
    assert (found.first_ms, found.full_ms) == (None, None)
