"""Arms on SmolLM2: the rows, and what is called; training the model itself takes half an hour an arm."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from experiments.design import ROOT
from experiments.running import run_all
from experiments.smollm2 import files, gsm8k
from experiments.smollm2.__main__ import ARMS, GSM8K, PLAN
from rim_edge.puzzles.fresh import held_out
from rim_edge.puzzles.puzzle import Family, Puzzle
from rim_edge.recipe.toml import read_recipe


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doors")
    files.write_files(folder, (0,))
    found = {}
    for name in ("train", *files.SCORED):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            found[name] = [json.loads(line) for line in lines]
    return found


def test_no_puzzle_is_in_two_files_and_only_the_training_rows_are_not_held_out(rows):
    texts = [" ".join(row["question"].split()) for part in rows.values() for row in part]
    assert len(set(texts)) == len(texts)
    for name, part in rows.items():
        found = {held_out(Puzzle(Family.ROOMS, row["question"], (), "A", "A")) for row in part}
        assert found == {name != "train"}


def test_a_row_has_a_step_for_each_door_but_the_last(rows):
    for name, (doors, count) in files.SCORED.items():
        assert {len(row["steps"]) for row in rows[name]} == {doors - 1}
        assert len(rows[name]) == count
        assert all(
            f"walk through {'one door' if doors == 1 else 'two doors'}" in row["question"] for row in rows[name]
        )
    assert {len(row["steps"]) for row in rows["train"]} == {0, 1}


def test_the_recipe_draws_as_many_rows_as_there_are(rows):
    curriculum = read_recipe(PLAN.folder / "train.toml").curriculum
    assert curriculum.steps * curriculum.batch_size == len(rows["train"])


def test_runs_begin_with_the_base_and_zero_shot_reads_it(tmp_path):
    called = []
    run_all(replace(PLAN, base=tmp_path / "base"), tmp_path, lambda words, threads: called.append(words) or "{}")
    trained = {words[words.index("--arm") + 1]: words for words in called if words[0] == "train"}
    assert set(trained) == {*ARMS, "readouts-without-blocks"}
    assert all(words[words.index("--model") + 1] == str(tmp_path / "base") for words in trained.values())
    read = [words for words in called if words[0] == "eval"]
    assert len(read) == len(PLAN.seeds) * len(PLAN.tests)
    zero_shot = [words for words in read if words[words.index("--model") + 1] == str(tmp_path / "base")]
    assert [words[words.index("--blocks") + 1] for words in zero_shot] == ["0"] * len(PLAN.tests)


SHARED = ROOT.parent / "shared" / "data" / "gsm8k"


@pytest.mark.skipif(not SHARED.is_dir(), reason="GSM8K's rows are not here (../shared/data/gsm8k)")
def test_gsm8ks_rows_have_equations_as_steps_and_come_once(tmp_path):
    gsm8k.write_files(tmp_path, (0,), SHARED)
    found = {}
    for name in ("train", "dev", "test"):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            found[name] = [json.loads(line) for line in lines]
    assert {name: len(rows) for name, rows in found.items()} == {"train": 1_600, "dev": 40, "test": 200}
    every = [row for rows in found.values() for row in rows]
    assert len({row["question"] for row in every}) == len(every)
    assert {len(row["steps"]) for row in every} == {2, 3}
    assert found["train"][0]["steps"] == ["48/2=24", "48+24=72"]
    assert found["train"][0]["answer"] == "72"
    curriculum = read_recipe(GSM8K.folder / "train-gsm8k.toml").curriculum
    assert curriculum.steps * curriculum.batch_size == len(found["train"])
    assert {GSM8K.condition(arm).recipe for arm in ARMS} == {"train-gsm8k"}
