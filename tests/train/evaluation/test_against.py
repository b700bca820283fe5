"""Two runs on the same questions."""

import pytest
from scipy.stats import binomtest

from rim_edge.errors import DataError
from rim_edge.evaluation.asking import Asked, Row
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.reading import Given, Kind, Reading, Subject
from rim_edge.evaluation.report.against import OtherRun, compare_blocks, mcnemar
from rim_edge.evaluation.report.saved import Run, SavedRows
from rim_edge.evaluation.way import Manner

RUN = Run(Subject(Kind.BUNDLE, "mine", "/x", "ab" * 32, "ort-cpu", "int8"), Manner(), range(1), None, 0)
ROWS = [Row(f"line {place}", Item(f"{place}?", "A", "AB")) for place in range(1, 9)]


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 5), (3, 9), (20, 4), (200, 260)])
def test_the_exact_test_is_the_binomial_one(gained, lost):
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected)


def saved(folder, rows, answers):
    readings = [Reading({0: Given(answer)}) for answer in answers]
    SavedRows(folder / "other.jsonl", RUN).add(rows, readings)
    return folder / "other.jsonl"


def test_questions_are_paired_whatever_their_order(tmp_path):
    file = saved(tmp_path, ROWS[::-1], "ABBBBBBB"[::-1])
    found = OtherRun(file, ROWS).compare(ROWS, [Given(letter) for letter in "BAAABBBB"])
    assert (found.other, found.n, found.gained, found.lost) == (
        "mine int8, letter or open, 0 blocks, ort-cpu",
        8,
        3,
        1,
    )
    assert [(one.row.place, one.gain) for one in found.changed] == [
        ("line 1", -1),
        ("line 2", 1),
        ("line 3", 1),
        ("line 4", 1),
    ]
    assert found.right_there == 1
    assert (found.p, found.difference) == (0.625, 0.25)
    low, high = found.interval
    assert -0.5 < low < 0 < 0.25 < high < 0.75


def test_the_most_blocks_are_compared_with_the_fewest_question_by_question():
    with_none, with_two = "AABBBBBB", "BAAAABBB"
    readings = {
        place: Reading({0: Given(none), 1: Given("B"), 2: Given(two)})
        for place, (none, two) in enumerate(zip(with_none, with_two, strict=True))
    }
    found = compare_blocks(Asked(ROWS, readings))
    assert (found.other, found.n, found.gained, found.lost, found.right_there) == ("0 blocks", 8, 3, 1, 2)
    assert found.p == 0.625
    alone = {place: Reading({2: reading.by_blocks[2]}) for place, reading in readings.items()}
    assert compare_blocks(Asked(ROWS, alone)) is None


@pytest.mark.parametrize("theirs", [ROWS[:7], [*ROWS[:7], Row("line 8", Item("other?", "A", "AB"))]])
def test_other_questions_are_refused(tmp_path, theirs):
    file = saved(tmp_path, theirs, len(theirs) * "A")
    with pytest.raises(DataError, match=r"7 of them are to the 8 questions asked here, expected the same"):
        OtherRun(file, ROWS)


def test_other_right_answers_are_refused(tmp_path):
    file = saved(tmp_path, [*ROWS[:7], Row("line 8", Item("8?", "B", "AB"))], "AAAAAAAA")
    with pytest.raises(DataError, match="with the same right answers"):
        OtherRun(file, ROWS)
