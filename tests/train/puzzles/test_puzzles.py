"""The puzzles' truth, by solutions of their own that read nothing but the text."""

import re
from collections import Counter

import pytest
from rim_runtime.prompt.options import offered_options

from rim_edge.puzzles.fresh import fresh_puzzles, guess_share, majority_share
from rim_edge.puzzles.puzzle import Family

NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
NAMES = "Anna|Ben|Cora|Dan|Emma|Finn|Gina|Hugo"


def followed(leads, start, hops):
    places = [start]
    for _ in range(hops):
        places.append(leads[places[-1]])
    return places[1:]


def solve_rooms(text):
    count, last, facts, start, hops = re.fullmatch(
        r"There are (\w+) rooms, A to ([A-H]), with one door out of each\. "
        r"((?:The door in [A-H] leads to [A-H]\. )+)"
        r"You start in ([A-H]) and walk through (\w+) doors\. In which room are you\?",
        text,
    ).groups()
    doors = dict(re.findall(r"in (\w) leads to (\w)", facts))
    assert sorted(doors) == sorted(doors.values()) == list("ABCDEFGH"[: NUMBERS[count]])
    assert last == max(doors)
    assert all(room != target for room, target in doors.items())
    return followed(doors, start, NUMBERS[hops])


def solve_ordering(text):
    count, facts, place = re.fullmatch(
        rf"(\w+) friends compare their (?:ages|heights)\. ((?:(?:{NAMES}) is \w+ than (?:{NAMES})\. )+)"
        r"Who is the (second |third )?(?:oldest|tallest)\?",
        text,
    ).groups()
    below = dict(re.findall(r"(\w+) is \w+ than (\w+)", facts))
    assert len(below) == NUMBERS[count.lower()] - 1
    (first,) = set(below) - set(below.values())
    return [first, *followed(below, first, {None: 0, "second ": 1, "third ": 2}[place])]


def solve_baskets(text):
    start, moves = re.fullmatch(
        rf"There are (\d+) apples in a basket\. ((?:(?:{NAMES}) (?:puts in|takes out) \d\. )+)"
        r"How many apples are there now\?",
        text,
    ).groups()
    totals = [int(start)]
    for way, count in re.findall(r"(puts in|takes out) (\d)", moves):
        totals.append(totals[-1] + int(count) * (1 if way == "puts in" else -1))
    assert all(0 <= total <= 12 for total in totals)
    return [str(total) for total in totals[1:]]


SOLVE = {
    Family.ROOMS: solve_rooms,
    Family.ORDERING: solve_ordering,
    Family.BASKETS: solve_baskets,
}


@pytest.mark.parametrize("family", list(Family))
def test_steps_and_answer_are_what_the_text_says(family):
    seen = set()
    for puzzle in fresh_puzzles(500, 7, family):
        options = offered_options(puzzle.question)
        text = puzzle.question.rpartition("\nA: ")[0] if options else puzzle.question
        assert puzzle.steps == tuple(SOLVE[family](text.replace("\n", " ")))
        assert options.get(puzzle.answer, puzzle.answer) == puzzle.steps[-1]
        assert 4 <= len(puzzle.letters) <= 8
        assert not options or (puzzle.letters == "".join(options) and len(set(options.values())) == len(options))
        assert puzzle.family is family
        seen.add(len(puzzle.letters))
    assert seen == {4, 5, 6, 7, 8}


def test_the_same_seed_gives_the_same_puzzles_and_a_shorter_list_is_its_beginning():
    assert fresh_puzzles(20, 3) == fresh_puzzles(20, 3)
    assert fresh_puzzles(20, 3)[:5] == fresh_puzzles(5, 3)
    first, second = ({p.question for p in fresh_puzzles(200, seed) if len(p.letters) > 6} for seed in (3, 4))
    assert not first & second
    assert [puzzle.family for puzzle in fresh_puzzles(6, 3)] == 2 * list(Family)


@pytest.mark.parametrize("family", list(Family))
def test_neither_a_letter_nor_a_place_among_the_facts_is_favoured(family):
    puzzles = fresh_puzzles(2_000, 5, family)
    assert majority_share(puzzles) < guess_share(puzzles) + 0.05
    for letter in "ABCD":
        asked = [puzzle for puzzle in puzzles if letter in puzzle.letters]
        share = sum(puzzle.answer == letter for puzzle in asked) / len(asked)
        assert abs(share - guess_share(asked)) < 0.045
    firsts = Counter(puzzle.told[0][0] for puzzle in puzzles if len(puzzle.letters) == 8)
    assert max(firsts.values()) < 0.2 * firsts.total()
