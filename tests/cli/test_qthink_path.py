"""The path of somebody who trains latent steps: rollouts, train, score, export, score the bundle, ask it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import REPOSITORY

pytestmark = pytest.mark.usefixtures("one_conversion_a_model")

Run = Callable[..., Any]
BASE = REPOSITORY / "rim_edge" / "demo" / "checkpoint"
RECIPE = REPOSITORY / "examples" / "qthink" / "demo.toml"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(puzzle.row()) + "\n" for puzzle in fresh_puzzles(24, seed=5)))
    return file


def test_from_rollouts_to_a_bundle_that_answers_as_the_checkpoint_does(
    run: Run, tmp_path: Path, rows: Path
) -> None:
    recipe = ("--config", str(RECIPE), "--model", str(BASE), "--data", str(rows))
    done = run("rollouts", *recipe, "--from-steps", "-o", str(tmp_path / "rollouts"), "--json")
    assert done.code == 0, done.err
    assert (done.json["questions"], done.json["right"]) == (24, 24)
    trained = str(tmp_path / "trained")
    taught = ("--rollouts", str(tmp_path / "rollouts"), "--steps", "12", "-o", trained)
    done = run("train", *recipe, *taught, "--threads", "1", "--json")
    assert done.code == 0, done.err
    assert "distance to the teacher" in done.err

    saved = str(tmp_path / "saved.jsonl")
    ask = ("eval", str(rows), "--as", "latent", "--max-tokens", "12")
    done = run(*ask, "--model", trained, "--save", saved, "--json")
    assert done.code == 0, done.err
    done = run(
        "export", "--model", trained, "--precision", "fp32", "--answers", "text", "-o", str(tmp_path / "bundle")
    )
    assert done.code == 0, done.err
    again = str(tmp_path / "again.jsonl")
    done = run(*ask, "--bundle", str(tmp_path / "bundle"), "--against", saved, "--save", again, "--json")
    assert done.code == 0, done.err
    texts = []
    for file in (saved, again):
        lines = [json.loads(line) for line in Path(file).read_text().splitlines()]
        texts.append({line["row"]: line["given"]["0"]["text"] for line in lines})
    assert texts[0] == texts[1], "token for token"
    assert len(texts[0]) == 24
    asked = run("ask", "Why?", "--bundle", str(tmp_path / "bundle"), "--max-tokens", "4", "--json")
    assert asked.code == 0, asked.err
    assert asked.json["latent_steps"] == 3
    drawn = ("--samples", "2", "--temperature", "0.8", "--latent-steps", "1")
    asked = run("ask", "Why?", "--bundle", str(tmp_path / "bundle"), "--max-tokens", "4", *drawn, "--json")
    assert [text["latent_steps"] for text in asked.json["samples"]] == [1, 1]


def test_a_checkpoint_without_latent_steps_cannot_be_asked_for_them(run: Run, rows: Path) -> None:
    done = run("eval", str(rows), "--as", "latent", "--model", str(BASE))
    assert done.code == 2
    assert "takes no latent steps: there is no projection head" in done.err


def test_a_head_outside_the_checkpoint_is_not_read(run: Run, tmp_path: Path, rows: Path) -> None:
    folder = Path(shutil.copytree(BASE, tmp_path / "base"))
    config = json.loads((folder / "config.json").read_text())
    config["latent"] = {"steps": 2, "head": "../projection_head.safetensors"}
    (folder / "config.json").write_text(json.dumps(config))
    done = run("eval", str(rows), "--as", "latent", "--model", str(folder))
    assert done.code == 2
    assert "expected a plain name of a file beside it" in done.err


def test_rollouts_that_nothing_learns_from_are_refused(run: Run, tmp_path: Path, rows: Path) -> None:
    recipe = tmp_path / "rim.toml"
    recipe.write_text('preset = "gsm8k"\n')
    options = ("--model", str(BASE), "-o", str(tmp_path / "rollouts"))
    done = run("rollouts", "--config", str(recipe), "--data", str(rows), *options)
    assert done.code == 2
    assert "trains no latent steps" in done.err
    done = run("rollouts", *options)
    assert done.code == 2
    assert "There are no questions, expected a file of rows. Pass --data FILE" in done.err
    assert not (tmp_path / "rollouts").exists()
