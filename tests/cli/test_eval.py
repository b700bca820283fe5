"""`rim-edge eval`: a bundle and a checkpoint, every budget with its interval, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import DEMO_FOLDER

Run = Callable[..., Any]
CHECKPOINT = DEMO_FOLDER.parent / "checkpoint"


@pytest.fixture
def puzzles(tmp_path: Path) -> Path:
    path = tmp_path / "puzzles.jsonl"
    rows = [{"question": p.question, "answer": p.answer, "steps": list(p.steps)} for p in fresh_puzzles(60, 77)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_checkpoint_with_its_controls(run: Run, puzzles: Path) -> None:
    told = run("eval", str(puzzles), "--model", str(CHECKPOINT), "--json").json
    assert told["n"] == 60
    assert sorted(told["by_blocks"]) == ["0", "1", "2", "3", "4"]
    assert told["by_blocks"]["4"]["right"] >= 54
    assert told["by_blocks"]["4"]["low"] > 0.75
    assert told["by_blocks"]["0"]["right"] < told["by_blocks"]["4"]["right"] - 12
    assert told["any_block_oracle"]["right"] >= told["by_blocks"]["4"]["right"]
    assert told["shuffled_blocks"]["right"] < 30, "another puzzle's memory leads to another room"
    assert told["chain"] is None


def test_a_bundle_answers_as_its_checkpoint_does(run: Run, puzzles: Path) -> None:
    whole = run("eval", str(puzzles), "--model", str(CHECKPOINT), "--blocks", "1..4", "--json").json
    told = run("eval", str(puzzles), "--bundle", "demo", "--engine", "ort-cpu", "--blocks", "1..4", "--json").json
    assert [told["by_blocks"][k]["right"] for k in "234"] == [whole["by_blocks"][k]["right"] for k in "234"]
    assert abs(told["by_blocks"]["1"]["right"] - whole["by_blocks"]["1"]["right"]) <= 2, "int8"
    assert told["shuffled_blocks"] is None
    assert told["schema_version"] == 1


def test_what_people_see(run: Run, puzzles: Path) -> None:
    outcome = run("eval", str(puzzles), "--model", str(CHECKPOINT), "--blocks", "3..4", "--limit", "20")
    assert outcome.code == 0
    assert "20 questions, 95 % Wilson intervals" in outcome.out
    assert re.search(r"4 blocks +\d+\.\d% +\d+\.\d% to +\d+\.\d%", outcome.out)
    assert "an oracle: nobody can choose like that" in outcome.out
    assert "another question's blocks" in outcome.out


def test_an_open_row_changes_no_score_of_the_others(run: Run, puzzles: Path, tmp_path: Path) -> None:
    options = ("--model", str(CHECKPOINT), "--blocks", "3..4", "--json")
    alone = run("eval", str(puzzles), *options).json
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text('{"question": "1+1?", "answer": "2"}\n' + puzzles.read_text(encoding="utf-8"))
    told = run("eval", str(mixed), *options).json
    assert (told["n"], told["letters"]["n"], told["open"]["n"]) == (61, 60, 1)
    assert told["letters"]["by_blocks"] == alone["by_blocks"]
    assert told["letters"]["shuffled_blocks"] == told["shuffled_blocks"] == alone["shuffled_blocks"]
    shown = run("eval", str(mixed), "--model", str(CHECKPOINT), "--blocks", "4").out
    assert "60 questions with letters, 95 % Wilson intervals" in shown
    assert "1 open questions, 95 % Wilson intervals" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--blocks", "0..5"), "--blocks is '0..5', expected numbers from 0 to 4, the lower one first."),
        (("--blocks", "3..1"), "expected numbers from 0 to 4"),
        (("--blocks", "all"), "--blocks is 'all', expected a number or LOW..HIGH, such as 0..4."),
        (("--bundle", "demo"), "--model and --bundle exclude each other"),
    ],
)
def test_bad_options_are_refused(run: Run, puzzles: Path, options: tuple[str, ...], words: str) -> None:
    outcome = run("eval", str(puzzles), "--model", str(CHECKPOINT), *options)
    assert outcome.code == 2
    assert words in " ".join(outcome.err.replace("│", " ").split())


def test_a_bundle_cannot_answer_open_questions(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "open.jsonl"
    path.write_text('{"question": "How many?", "answer": "#### 72"}\n', encoding="utf-8")
    outcome = run("eval", str(path), "--bundle", "demo")
    assert outcome.code == 2
    assert "The answer of question 1 is '72', expected a letter" in outcome.err


def test_bad_rows_are_refused_or_counted(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "Where?", "answer": "A"}\nnothing\n', encoding="utf-8")
    refused = run("eval", str(path), "--bundle", "demo")
    assert refused.code == 2
    assert f"{path}, line 2: no JSON" in refused.err
    counted = run("eval", str(path), "--bundle", "demo", "--skip-bad", "--json")
    assert counted.json["n"] == 1
    assert "1 bad rows skipped" in counted.err


def test_a_bundle_is_scored_without_torch(puzzles: Path) -> None:
    code = """
import json, sys
from rim_edge.cli import main
try:
    main(["eval", sys.argv[1], "--bundle", "demo", "--limit", "5", "--json"])
finally:
    print(json.dumps([name for name in ("torch", "transformers", "onnx") if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(puzzles)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[1]) == []
