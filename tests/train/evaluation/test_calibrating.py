"""Calibration against what it must be: temperatures that were put in, errors and thresholds by hand, coverage."""

import math

import numpy as np
import pytest

from rim_edge.errors import DataError
from rim_edge.evaluation.calibrating import (
    Labelled,
    at_temperature,
    calibrate,
    fit_temperature,
    reliability,
    set_threshold,
)

LETTERS = "ABCD"


def drawn(count, temperature, seed=0):
    """Return questions whose right letters are drawn from their logits, told at a temperature that is wrong."""
    rng = np.random.default_rng(seed)
    rows = []
    for logits in rng.normal(0, 2, (count, 4)):
        shares = np.exp(logits) / np.exp(logits).sum()
        right = LETTERS[rng.choice(4, p=shares)]
        told = np.exp(logits * temperature) / np.exp(logits * temperature).sum()
        rows.append(Labelled(dict(zip(LETTERS, told.tolist(), strict=True)), right))
    return rows


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature):
    assert fit_temperature(drawn(4_000, temperature)) == pytest.approx(temperature, rel=0.08)


def test_a_temperature_by_hand():
    row = at_temperature(Labelled({"A": 0.8, "B": 0.2}, "A"), 2.0)
    assert row.shares["A"] == pytest.approx(2 / 3)  # the odds' square root: 4 to 1 becomes 2 to 1
    assert at_temperature(Labelled({"A": 1.0, "B": 0.0}, "A"), 1.0).shares["A"] == pytest.approx(1.0)


def test_an_error_by_hand():
    """Ten bins of two: each said 0.9; in the first half of the bins both are right, in the other one of two."""
    rows = [
        Labelled({"A": 0.9 + 0.0001 * place, "B": 0.1 - 0.0001 * place}, "A" if place < 10 or place % 2 else "B")
        for place in range(20)
    ]
    found = reliability(rows)
    assert [one.count for one in found.bins] == 10 * [2]
    assert [one.accuracy for one in found.bins] == [*5 * [1.0], *5 * [0.5]]
    by_hand = sum(abs(one.confidence - one.accuracy) for one in found.bins) / 10
    assert found.error == pytest.approx(by_hand)
    assert found.interval[0] <= found.error <= found.interval[1] + 0.2


def test_a_threshold_by_hand():
    rows = [Labelled({"A": share, "B": 1 - share}, "A") for share in (0.9, 0.8, 0.7, 0.6)]
    assert set_threshold(rows, 0.6) == pytest.approx(0.3)  # ceil(5 · 0.6) = 3rd smallest of 0.1, 0.2, 0.3, 0.4
    assert set_threshold(rows, 0.9) == 1.0, "too few rows for that"


def test_it_mends_what_is_too_sure_and_covers_what_it_says():
    found = calibrate(drawn(3_000, 3.0), coverage=0.9)
    assert found.before.error > 0.1
    assert found.after.error < 0.04
    assert found.after.nll < found.before.nll
    assert found.covered == pytest.approx(0.9, abs=0.03)
    assert 1 < found.set_size < 3
    assert found.temperature == pytest.approx(3.0, rel=0.1)
    answered = [one.answered for one in found.abstention]
    right = [one.accuracy for one in found.abstention]
    assert answered == sorted(answered, reverse=True)
    assert right == sorted(right), "the surer, the more often right"


def test_the_same_rows_give_the_same():
    rows = drawn(200, 2.0)
    assert calibrate(rows, 0.9) == calibrate(rows, 0.9)


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="39 questions with letters are too few"):
        calibrate(drawn(39, 1.0), 0.9)


def test_a_right_letter_that_is_not_offered_costs_much_and_breaks_nothing():
    rows = [*drawn(60, 1.0), Labelled({"A": 0.5, "B": 0.5}, "C")]
    assert math.isfinite(calibrate(rows, 0.9).after.nll)
