"""Graph reachability in symbols: the rows, ProsQA's own questions, and the recipes."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import Counter
from statistics import fmean

import pytest

from experiments.prosqa.__main__ import PLAN
from experiments.prosqa.files import FULL, LONG_HOPS
from experiments.prosqa.task import HOPS, WORDS, graph_of, lookups, published, rows
from experiments.symbols import build_tokenizer
from rim_edge.recipe.toml import read_recipe
from tests.places import SHARED

PUBLISHED = SHARED / "prosqa" / "prosqa_valid.json.gz"
ENTRY = {
    "question": "Every zumpus is a rempus. Tom is a zumpus. Max is a lempus. Every rempus is an impus. "
    "Is Tom a lempus or impus?",
    "steps": ["Tom is a zumpus.", "Every zumpus is a rempus.", "Every rempus is an impus."],
}


@pytest.fixture(scope="module")
def some_rows():
    return list(itertools.islice(rows("test", 0), 300))


def reached(row):
    """Return how many hops away every node is that can be reached from the root."""
    told, root = row["question"].split(" ? ")
    below = {}
    for node, target in (fact.split(">") for fact in told.split()):
        below.setdefault(node, set()).add(target)
    hops, front = {root: 0}, {root}
    while front:
        front = set().union(*(below.get(node, set()) for node in front)) - set(hops)
        hops |= dict.fromkeys(front, max(hops.values()) + 1)
    return hops


def ways_into(row):
    """Count the facts that lead to every node."""
    return Counter(fact.split(">")[1] for fact in row["question"].split(" ? ")[0].split())


def assert_right(row, allowed):
    hops = reached(row)
    right = row["options"]["AB".index(row["answer"])]
    wrong = row["options"]["BA".index(row["answer"])]
    assert wrong not in hops
    assert hops[right] == len(row["steps"])
    assert hops[right] in allowed
    facts = set(row["question"].split())
    way = [row["question"].split()[-1], *row["steps"]]
    assert way[-1] == right
    assert all(f"{a}>{b}" in facts for a, b in itertools.pairwise(way))


def test_one_option_is_reached_and_the_other_is_not(some_rows):
    for row in some_rows:
        assert_right(row, HOPS)
    for row in itertools.islice(rows("long", 0, LONG_HOPS), 10):
        assert_right(row, {7})


def test_neither_letters_nor_names_nor_shape_tell_the_answer(some_rows):
    assert 0.4 < Counter(row["answer"] for row in some_rows)["A"] / len(some_rows) < 0.6
    named = Counter(row["options"]["AB".index(row["answer"])] for row in some_rows)
    assert len(named) == 30
    ways = [[ways_into(row)[option] for option in row["options"]] for row in some_rows]
    right = [pair["AB".index(row["answer"])] for row, pair in zip(some_rows, ways, strict=True)]
    assert fmean(right) == pytest.approx(fmean(map(fmean, ways)), abs=0.12)


def test_graphs_are_of_prosqas_size(some_rows):
    facts = [row["question"].split(" ? ")[0].split() for row in some_rows]
    assert fmean(map(len, facts)) == pytest.approx(36.3, abs=2)
    nodes = [len({node for fact in told for node in fact.split(">")}) for told in facts]
    assert fmean(nodes) == pytest.approx(22.8, abs=1)
    assert fmean(len(row["steps"]) for row in some_rows) == pytest.approx(3.75, abs=0.2)


def test_a_published_question_in_symbols_keeps_its_order():
    (row,) = published([ENTRY])
    assert_right(row, {3})
    graph = graph_of(ENTRY["question"], ENTRY["steps"])
    assert graph.edges == ((0, 1), (2, 0), (3, 4), (1, 5))
    with pytest.raises(ValueError, match=r"expected 'Is X a Y or Z\?'"):
        graph_of("Who is Tom?", ())


@pytest.mark.skipif(not PUBLISHED.exists(), reason="needs ProsQA's validation file, ../shared/data/prosqa")
def test_all_published_questions_become_rows():
    entries = json.loads(gzip.decompress(PUBLISHED.read_bytes()))
    made = published(entries)
    assert len(made) == 300
    for row in made:
        assert_right(row, HOPS)


def test_every_word_of_a_row_is_one_token(some_rows):
    tokenizer = build_tokenizer(WORDS)
    row = some_rows[0]
    text = f"{row['question']}\nA: {row['options'][0]}\nB: {row['options'][1]}"
    tokens = tokenizer.tokenize(text)
    assert tokens == text.split()
    asked = next(lookups(0))
    assert len(tokenizer.tokenize("\n".join(asked["steps"]))) == 2 * 24 - 1


def test_the_recipes_are_whole():
    for recipe, drawn in (("warm-up", FULL.warm_up_rows), ("train", 8 * FULL.train_rows)):
        curriculum = read_recipe(PLAN.folder / f"{recipe}.toml").curriculum
        assert curriculum.steps * curriculum.batch_size == drawn
