"""The puzzle generator's truth, by a walk of its own."""

import re
from collections import Counter

import pytest

from rim_edge.demo.puzzles import ROOMS, Doors, fresh_puzzles, majority_share

TEXT = re.compile(
    r"There are eight rooms, A to H, with one door out of each\. "
    r"(?:The door in [A-H] leads to [A-H]\. ){8}"
    r"You start in ([A-H]) and walk through three doors\. In which room are you\?"
)


def walked(question):
    doors = dict(re.findall(r"The door in (\w) leads to (\w)", question))
    room = TEXT.fullmatch(question)[1]
    visited = []
    for _ in range(3):
        room = doors[room]
        visited.append(room)
    return tuple(visited)


@pytest.mark.parametrize("doors", list(Doors))
def test_steps_and_answer_are_the_walk_through_the_told_doors(doors):
    for puzzle in fresh_puzzles(500, 7, doors=doors):
        assert puzzle.steps == walked(puzzle.question)
        assert puzzle.answer == puzzle.steps[-1]


def test_every_room_has_one_door_and_no_door_leads_back():
    for puzzle in fresh_puzzles(500, 8):
        doors = re.findall(r"The door in (\w) leads to (\w)", puzzle.question)
        assert sorted(room for room, _ in doors) == list(ROOMS)
        assert sorted(target for _, target in doors) == list(ROOMS)
        assert all(room != target for room, target in doors)


def test_the_same_seed_gives_the_same_puzzles_and_a_shorter_list_is_its_beginning():
    assert fresh_puzzles(20, 3) == fresh_puzzles(20, 3)
    assert fresh_puzzles(20, 3)[:5] == fresh_puzzles(5, 3)
    assert not set(fresh_puzzles(200, 3)) & set(fresh_puzzles(200, 4))


def test_facts_are_shuffled_and_no_letter_is_favoured():
    puzzles = fresh_puzzles(4_000, 5)
    first = Counter(re.search(r"The door in (\w)", puzzle.question)[1] for puzzle in puzzles)
    assert max(first.values()) < 0.16 * len(puzzles)
    assert majority_share(puzzles) < 0.145
