"""examples/smollm2: the recipe for puzzles, its rows, and the page's commands."""

import json
import re
import shlex
import subprocess
import sys

import typer.main
from rim_export.questions import read_questions

from rim_edge.cli.app import app
from rim_edge.puzzles.fresh import held_out
from rim_edge.puzzles.puzzle import Family, Puzzle
from rim_edge.recipe.recipe import Trains
from rim_edge.recipe.switches import Objective
from rim_edge.recipe.toml import read_recipe
from tests.places import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "smollm2"


def test_the_recipe_is_read():
    recipe = read_recipe(EXAMPLE / "puzzles.toml")
    assert recipe.trains is Trains.LORA
    assert [stage.objective for stage in recipe.curriculum.stages] == [Objective.ANSWER]


def test_no_puzzle_is_in_two_files_and_only_the_training_rows_are_not_held_out(tmp_path):
    subprocess.run([sys.executable, EXAMPLE / "puzzles.py", tmp_path], check=True)
    rows = {name: _rows(tmp_path / f"{name}.jsonl") for name in ("train", "dev", "test")}
    texts = [" ".join(row["question"].split()) for part in rows.values() for row in part]
    assert len(set(texts)) == len(texts)
    for name, part in rows.items():
        assert {_held_out(row["question"]) for row in part} == {name != "train"}
    labelled = read_questions(tmp_path / "test.jsonl").asked
    assert [question.answer for question in labelled] == [row["answer"] for row in rows["test"]]


def _rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _held_out(question):
    return held_out(Puzzle(Family.ROOMS, question, (), "A", "A"))


def test_the_pages_commands_and_options_exist():
    page = (EXAMPLE / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    root = typer.main.get_command(app)
    found = re.findall(r"^\$ rim-edge (\w+) (.*)$", page, re.MULTILINE)
    assert {verb for verb, _ in found} >= {"train", "export"}
    for verb, rest in found:
        known = {name for option in root.get_command(typer.Context(root), verb).params for name in option.opts}
        assert {word for word in shlex.split(rest) if re.match("--?[a-z]", word)} <= known, f"rim-edge {verb}"
