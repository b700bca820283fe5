"""Keyed partners: the rows, and the conditions from their files to their results by the real commands."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from rim_export.checkpoint.prompt import RimSettings, derive_contract, template_ids

from experiments.command import PAGE
from experiments.partners import files
from experiments.partners.__main__ import long_plan, plan
from experiments.partners.task import KEYS, LETTERS, SYMBOLS, TABLES, WORDS, Part, Puzzle, puzzles
from experiments.results import collect
from experiments.running import run_all
from experiments.symbols import PREFIX, build_tokenizer
from experiments.tables import tables_of
from rim_edge.recipe.toml import read_recipe

SOME = 150


@pytest.fixture(scope="module")
def drawn():
    return {part: list(itertools.islice(puzzles(part, 6), SOME)) for part in Part}


def test_the_answer_counts_the_items_whose_partner_is_told():
    key = KEYS[0]
    first, second = SYMBOLS[0], TABLES[key][SYMBOLS[0]]
    other = next(
        one for one in SYMBOLS if one not in (first, second) and TABLES[key][one] not in (first, second, one)
    )
    row = Puzzle((other, second, first), key).row()
    assert row["question"] == f"{other} {second} {first} {key}"
    assert row["steps"][4:] == [second, "B"]
    hits = sum(TABLES[key][item] in (other, second, first) for item in (other, second, first))
    assert row["answer"] == LETTERS[hits]


def test_a_key_gives_each_symbol_one_partner_and_keys_differ():
    assert all(sorted(table.values()) == sorted(SYMBOLS) for table in TABLES.values())
    assert not any(symbol == partner for table in TABLES.values() for symbol, partner in table.items())
    assert len({tuple(table.values()) for table in TABLES.values()}) == len(KEYS)


@pytest.mark.parametrize("part", [Part.TRAIN, Part.TEST])
def test_every_count_is_as_common_as_another(part):
    counts = [puzzle.count for puzzle in itertools.islice(puzzles(part, 6), 400)]
    shares = [counts.count(count) / len(counts) for count in range(7)]
    assert shares[5:] == [0, 0]
    assert all(abs(share - 0.2) < 0.06 for share in shares[:5])


def test_no_set_of_items_is_in_two_parts(drawn):
    sets = {part: {(frozenset(one.items), one.key) for one in found} for part, found in drawn.items()}
    for one, other in itertools.combinations(Part, 2):
        assert not sets[one] & sets[other]
    assert len(sets[Part.TEST]) == len(sets[Part.DEV]) == SOME, "each once"


def test_the_recipes_draw_as_many_rows_as_there_are():
    for recipe, part in (("warm-up", Part.WARM_UP), ("train", Part.TRAIN), ("train-halves", Part.TRAIN)):
        curriculum = read_recipe(plan(6, 1).folder / f"{recipe}.toml").curriculum
        assert curriculum.batch_size == files.BATCH
        assert curriculum.steps == (files.STEPS if part is Part.TRAIN else files.WARM_UP_STEPS)


@pytest.mark.parametrize("items", files.SCORED)
def test_there_are_as_many_sets_as_are_scored(items):
    for part, count in files.SCORED[items].items():
        assert len(list(itertools.islice(puzzles(part, items), count))) == count


def test_the_page_has_a_place_for_each_table():
    page = PAGE.read_text(encoding="utf-8")
    for design in (plan(6, 8), plan(4, 8), long_plan(6, 3), long_plan(4, 3)):
        over_seeds = ("by seed", "learning", "effect of blocks", "single blocks") if design.over_seeds else ()
        for kind in ("accuracy", "blocks", "training", *over_seeds):
            assert page.count(f"<!-- table: {design.title}, {kind} -->\n") == 1, (design.title, kind)


def test_the_repeated_items_take_as_many_positions_as_the_blocks():
    tokenizer = build_tokenizer(WORDS)
    tokenizer.add_tokens(list(RimSettings().tokens), special_tokens=True)
    contract = derive_contract(tokenizer, RimSettings(files.blocks_of(6), 1, PREFIX))
    puzzle = next(puzzles(Part.TEST, 6))
    plain, repeated = puzzle.row(), puzzle.repeated_row(files.blocks_of(6) * files.BLOCK)
    more = len(template_ids(tokenizer, repeated["question"])) - len(template_ids(tokenizer, plain["question"]))
    assert more == contract.blocks * len(contract.block)
    assert {**repeated, "question": plain["question"]} == plain
    first = puzzle.key_first_row()
    assert {**first, "question": plain["question"]} == plain
    assert sorted(first["question"].split()) == sorted(plain["question"].split())
    assert first["question"].split()[0] == puzzle.key
    assert tokenizer.unk_token_id not in tokenizer("Step 8: " + " ".join(plain["steps"]))["input_ids"]


@pytest.mark.slow
def test_every_condition_from_files_to_results(tmp_path, monkeypatch, in_process):
    monkeypatch.setattr(files, "WARM_UP_STEPS", 2)
    monkeypatch.setitem(files.SCORED, 3, {Part.DEV: 8, Part.TEST: 20})
    design = replace(plan(3, 1), steps={"warm-up": 1, "train": 3, "train-halves": 3}, variant="test")
    files.write_files(tmp_path, (0,), items=3, steps=4)
    run_all(design, tmp_path, in_process)
    results = collect(design, tmp_path)
    assert [run["arm"] for run in results["runs"]] == list(design.seeds)
    for run in results["runs"]:
        blocks = set(run["scores"]["test"]["by_blocks"])
        has_blocks = run["arm"] in ("rim", "no-curriculum", "fading-with-blocks")
        assert blocks == ({str(k) for k in range(8)} if has_blocks else {"0"})
        exchanged = run["scores"]["test"]["exchanged_block"]
        assert (set(exchanged) == set("1234567")) if has_blocks else (exchanged is None)
    lines = tables_of({**results, "over_seeds": True})["partners test, single blocks"].splitlines()
    assert lines[0] == "| block exchanged | none | 1 | 2 | 3 | 4 | 5 | 6 | 7 |"
    assert [line.split("`")[1] for line in lines[2:]] == ["rim", "no-curriculum", "fading-with-blocks"]


def test_single_blocks_are_exchanged_where_a_run_has_blocks_and_the_design_asks(tmp_path):
    def calls(design, work):
        called = []
        for name in ("base-0", *(run.name for run in design.runs)):
            (work / name).mkdir(parents=True)
        run_all(design, work, lambda words, threads: called.append(words) or "{}")
        return {words[3].rpartition("/")[2]: words for words in called}

    found = calls(plan(6, 1), tmp_path / "asked")
    asked = {name for name, words in found.items() if "--each-block" in words}
    assert asked == {"rim-0", "no-curriculum-0", "fading-with-blocks-0"}
    assert len(found) == len(plan(6, 1).runs)
    found = calls(replace(plan(6, 1), each_block=False), tmp_path / "not")
    assert not any("--each-block" in words for words in found.values())


def test_sets_that_are_used_up_end_with_an_error():
    with pytest.raises(ValueError, match="sets of 2 items for dev, and more were asked for"):
        list(puzzles(Part.DEV, 2))
