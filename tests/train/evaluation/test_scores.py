"""Intervals and scores by hand."""

import pytest
from scipy.stats import binomtest

from rim_edge.evaluation.items import Item
from rim_edge.evaluation.scores import Read, Score, report


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe's examples of Wilson's score interval (1998)
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals(right, n, low, high):
    assert Score(right, n).interval == pytest.approx((low, high), abs=5e-5)
    assert Score(right, n).interval == pytest.approx(binomtest(right, n).proportion_ci(method="wilson"), abs=1e-9)


def test_none_and_all_right_have_exact_ends():
    assert all(Score(0, n).interval[0] == 0.0 and Score(n, n).interval[1] == 1.0 for n in range(1, 1_001))


def items(*answers):
    """Items that are answered with letters where the answer is one."""
    return [Item("Why?", answer, "ABC" if answer in "ABC" else "") for answer in answers]


def test_a_report_scores_every_budget_the_oracle_and_the_majority():
    read = {0: ["A", "A", "A", "A"], 1: ["A", "B", "B", "B"], 2: ["B", "A", "A", "B"]}
    exchanged = {1: ["A", "A", "A", "A"], 2: ["A", "B", "A", "A"]}
    shuffled, chain = ["A", "B", "A", "A"], ["A", "", "", "C"]
    found = report(items(*"ABAC"), Read(read, shuffled, exchanged, chain))
    assert [found.by_blocks[k].right for k in (0, 1, 2)] == [2, 2, 1]
    assert found.any_block.right == 3, "right at 1 or at 2; what 0 blocks say does not count"
    assert (found.majority.right, found.shuffled.right, found.chain.right) == (2, 3, 2)
    assert found.exchanged == {1: Score(2, 4), 2: Score(3, 4)}
    told = found.to_json()
    assert told["n"] == 4
    scores = {"n", "by_blocks", "majority", "any_block_oracle", "shuffled_blocks", "exchanged_block", "chain"}
    assert set(told) == scores | {"letters", "open"}
    assert told["letters"] is told["open"] is None, "all have letters: the whole is the part"
    assert told["by_blocks"]["1"]["accuracy"] == 0.5
    assert told["exchanged_block"]["2"]["accuracy"] == 0.75


def test_one_budget_has_no_oracle():
    assert report(items("A"), Read({0: ["A"], 3: ["A"]})).any_block is None


def test_letters_and_open_answers_are_scored_apart_too():
    read = Read(
        {0: ["A", "1", "A", "2"], 1: ["A", "1", "B", "7"]},
        shuffled=["A", "A"],
        exchanged={1: ["B", "B"]},
        chain=["", "1", "B", ""],
    )
    found = report(items("A", "1", "B", "12"), read)
    assert [found.by_blocks[k].right for k in (0, 1)] == [2, 3]
    assert [(found.letters.by_blocks[k].right, found.open.by_blocks[k].right) for k in (0, 1)] == [(1, 1), (2, 1)]
    assert found.letters.by_blocks[0].n == found.open.by_blocks[0].n == 2
    assert (found.letters.chain.right, found.open.chain.right) == (1, 1)
    assert found.shuffled == found.letters.shuffled == Score(1, 2)
    assert found.exchanged == found.letters.exchanged == {1: Score(1, 2)}
    assert found.open.shuffled is found.open.exchanged is None
    told = found.to_json()
    assert (told["letters"]["n"], told["open"]["by_blocks"]["1"]["right"]) == (2, 1)
