"""Lookups in a row: the rows, and the experiment from its files to its tables by the real commands."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from rim_export.checkpoint.prompt import RimSettings, derive_contract, letter_ids, template_ids

from experiments.lookup import files
from experiments.lookup.__main__ import PLAN
from experiments.lookup.task import FACTS, HOPS, SYMBOLS, Part, held_out, lookups, puzzles
from experiments.results import collect
from experiments.running import run_all
from experiments.symbols import PREFIX, build_tokenizer
from experiments.tables import tables_of
from rim_edge.recipe.toml import read_recipe

SOME = 2_000


@pytest.fixture(scope="module")
def drawn():
    return {part: list(itertools.islice(puzzles(part, 0), SOME)) for part in Part}


def test_the_steps_lead_from_the_start_to_the_answer():
    row = next(puzzles(Part.TEST, 1)).row()
    told, start = row["question"].split(" ? ")
    targets = dict(fact.split(">") for fact in told.split())
    assert [targets[at] for at in (start, *row["steps"])] == [*row["steps"], row["answer"]]
    assert len(row["steps"]) == HOPS - 1


def test_no_test_map_is_trained_on(drawn):
    tested = {frozenset(puzzle.facts) for puzzle in drawn[Part.TEST]}
    trained = {frozenset(puzzle.facts) for part in (Part.TRAIN, Part.WARM_UP) for puzzle in drawn[part]}
    assert len(tested) > 20
    assert not tested & trained
    assert not any(held_out(dict(puzzle.facts)) for puzzle in drawn[Part.TRAIN])


def test_no_training_row_comes_twice_because_the_recipes_draw_as_many_as_there_are():
    for recipe, rows in (("warm-up", files.WARM_UP_ROWS), ("train", files.TRAIN_ROWS)):
        curriculum = read_recipe(PLAN.folder / f"{recipe}.toml").curriculum
        assert curriculum.steps * curriculum.batch_size == rows


def test_who_knows_the_start_and_the_first_hop_guesses_no_better_than_chance():
    maps = [p for p in itertools.permutations(SYMBOLS) if all(a != b for a, b in zip(SYMBOLS, p, strict=True))]
    ends = Counter()
    for targets in (dict(zip(SYMBOLS, map_, strict=True)) for map_ in maps):
        for start in SYMBOLS:
            ends[start, targets[start], targets[targets[targets[start]]]] += 1
    known = {key[:2] for key in ends}
    best = sum(max(ends[(*pair, end)] for end in SYMBOLS) for pair in known)
    assert best / ends.total() == pytest.approx(0.17, abs=0.001)


def test_facts_are_told_in_any_order(drawn):
    places = Counter(
        place for p in drawn[Part.TEST] for place, (symbol, _) in enumerate(p.facts) if symbol == p.start
    )
    assert set(places) == set(range(len(SYMBOLS)))
    assert max(places.values()) / SOME < 0.2


def test_the_warm_up_asks_for_one_hop_at_a_time():
    row = next(lookups(0))
    targets = dict(fact.split(">") for fact in row["question"].split())
    pairs = [*(step.split() for step in row["steps"][:-1]), [row["steps"][-1], row["answer"]]]
    assert len(pairs) == 8
    assert all(targets[symbol] == target for symbol, target in pairs)


def test_a_fact_is_one_token_and_the_prompt_is_the_templates():
    tokenizer = build_tokenizer(FACTS)
    tokenizer.add_tokens(list(RimSettings().tokens), special_tokens=True)
    contract = derive_contract(tokenizer, RimSettings(prefix=PREFIX))
    question = next(puzzles(Part.TEST, 2)).row()["question"]
    assert len(template_ids(tokenizer, question)) == len(SYMBOLS) + len(contract.head + contract.tail) + 2
    assert len(contract.prefix) == 1
    assert len(letter_ids(tokenizer)) == 10
    assert tokenizer.decode(tokenizer.encode("B\nC {D}", add_special_tokens=False)) == "BC{D}"


def test_the_experiment_by_the_real_commands_goes_on_where_it_was(tmp_path, monkeypatch, in_process):
    monkeypatch.setattr(files, "WARM_UP_ROWS", 64)
    monkeypatch.setattr(files, "TRAIN_ROWS", 64)
    monkeypatch.setattr(files, "TEST_ROWS", 12)
    steps = {"warm-up": 1, "train": 2}
    design = replace(PLAN, seeds={"rim": (3,), "cot": (3,)}, steps=steps, chain_tokens=4, threads=None)
    files.write_files(tmp_path, design.every_seed)
    run_all(replace(design, seeds={"rim": (3,)}), tmp_path, in_process)
    assert [words[0] for words in in_process.called] == ["train", "train", "eval"]
    run_all(design, tmp_path, in_process)
    assert [words[0] for words in in_process.called[3:]] == ["train", "eval"]
    results = collect(design, tmp_path)
    assert [run["examples"] for run in results["runs"]] == [64, 64]
    assert results["costs"]["test"] == {"prompt": 10, "block": 4, "prefix": 1, "steps": 2, "answer": 1}
    accuracy = tables_of(results)["lookup, accuracy"].splitlines()
    assert accuracy[2].startswith("| `rim` | 4 blocks | 1 | 27 | ")
    assert accuracy[3].startswith("| `cot` | its steps | 4 | 13 | ")
