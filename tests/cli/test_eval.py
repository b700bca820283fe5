"""`rim-edge eval`: a bundle and a checkpoint, every budget with its interval, and what is refused."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Answer, Bundle, Engine, Question

from rim_edge.evaluation import asking
from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import DEMO_FOLDER

Run = Callable[..., Any]
CHECKPOINT = DEMO_FOLDER.parent / "checkpoint"


@pytest.fixture
def puzzles(tmp_path: Path) -> Path:
    path = tmp_path / "puzzles.jsonl"
    rows = [puzzle.row() for puzzle in fresh_puzzles(60, 77)]
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
    assert told["shuffled_blocks"]["right"] < told["by_blocks"]["4"]["right"] - 12, "another puzzle's memory"
    assert told["chain"] is None


def test_a_bundle_answers_as_its_checkpoint_does(run: Run, puzzles: Path) -> None:
    whole = run("eval", str(puzzles), "--model", str(CHECKPOINT), "--blocks", "1..4", "--json").json
    told = run("eval", str(puzzles), "--bundle", "demo", "--engine", "ort-cpu", "--blocks", "1..4", "--json").json
    assert [told["by_blocks"][k]["right"] for k in "234"] == [whole["by_blocks"][k]["right"] for k in "234"]
    assert abs(told["by_blocks"]["1"]["right"] - whole["by_blocks"]["1"]["right"]) <= 2, "int8"
    assert told["shuffled_blocks"] is None
    assert told["schema_version"] == 1


def test_a_part_of_a_file_may_be_drawn(run: Run, puzzles: Path, tmp_path: Path) -> None:
    """Files are sorted, by subject for one: the first rows say little of the others."""

    def asked(seed: int, *more: str) -> list[str]:
        target = tmp_path / f"{seed}{more}.jsonl"
        options = ("--limit", "12", "--seed", str(seed), "--blocks", "1", "--save", str(target), *more)
        assert run("eval", str(puzzles), "-b", "demo", "--engine", "ort-cpu", *options).code == 0
        return sorted(json.loads(line)["row"] for line in target.read_text().splitlines())

    first = asked(0)
    assert first == sorted(f"line {number}" for number in range(1, 13))
    drawn = [asked(seed, "--shuffle") for seed in (0, 1)]
    assert len({*map(tuple, drawn), tuple(first)}) == 3
    (tmp_path / "0('--shuffle',).jsonl").unlink()
    assert asked(0, "--shuffle") == drawn[0]
    refused = run("eval", str(puzzles), "-b", "demo", "--shuffle")
    assert (refused.code, "Pass --limit N" in refused.err) == (2, True)


def test_what_people_see(run: Run, puzzles: Path) -> None:
    outcome = run("eval", str(puzzles), "--model", str(CHECKPOINT), "--blocks", "3..4", "--limit", "20")
    assert outcome.code == 0
    assert "20 questions, right with 95 % Wilson intervals" in outcome.out
    assert re.search(r"4 blocks +\d+\.\d % +\d+\.\d to \d+\.\d %", outcome.out)
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
    assert "60 questions with letters, right with 95 % Wilson intervals" in shown
    assert "1 open question, right with 95 % Wilson intervals" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--blocks", "0..5"), "--blocks is '0..5', expected numbers from 0 to 4, the lower one first."),
        (("--blocks", "3..1"), "expected numbers from 0 to 4"),
        (("--blocks", "all"), "--blocks is 'all', expected a number or LOW..HIGH, such as 0..4."),
        (("--bundle", "demo"), "--model and --bundle exclude each other"),
        (("--engine", "ort-cpu"), "--engine is for bundles"),
        (("--device", "gpu"), "--device is 'gpu', expected auto, cpu, cuda or cuda:N."),
        (("--device", "cuda:x"), "expected auto, cpu, cuda or cuda:N."),
        (("--precision", "int8"), "--precision is int8, expected fp32, bf16, fp16"),
    ],
)
def test_bad_options_are_refused(run: Run, puzzles: Path, options: tuple[str, ...], words: str) -> None:
    outcome = run("eval", str(puzzles), "--model", str(CHECKPOINT), *options)
    assert outcome.code == 2
    assert words in " ".join(outcome.err.replace("│", " ").split())


def test_a_file_of_open_questions_is_none_for_a_bundle(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "open.jsonl"
    path.write_text('{"question": "How many?", "answer": "#### 72"}\n', encoding="utf-8")
    outcome = run("eval", str(path), "--bundle", "demo")
    assert outcome.code == 2
    assert "None of the rows of open.jsonl can be scored: 1 row left out, answered with text" in outcome.err
    assert "the first: line 1." in outcome.err


LONG = {"question": f"Which? {'x y z ' * 900}\nA: a\nB: b", "answer": "A"}
OPEN = {"question": "How many?", "answer": "#### 72"}


@pytest.fixture
def mixed(puzzles: Path) -> Path:
    """Puzzles with an open row in line 2, and rows that are too long in lines 4 and 5."""
    lines = puzzles.read_text(encoding="utf-8").splitlines()
    for place, row in ((1, OPEN), (3, LONG), (4, LONG)):
        lines.insert(place, json.dumps(row))
    puzzles.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return puzzles


def test_rows_that_cannot_be_asked_are_left_out_counted_and_named(run: Run, mixed: Path) -> None:
    outcome = run("eval", str(mixed), "--bundle", "demo", "--blocks", "4", "--json")
    told = outcome.json
    assert (told["rows"], told["n"], told["partial"]) == (63, 60, False)
    assert [(left["count"], left["first"]) for left in told["left_out"]] == [(1, "line 2"), (2, "line 4")]
    assert "1 row left out, answered with text, and this bundle reads letters" in outcome.err
    assert "2 rows left out, longer than the 1,001 tokens that this bundle takes; the first: line 4" in outcome.err
    told = run("eval", str(mixed), "--model", str(CHECKPOINT), "--blocks", "4", "--json").json
    assert [(left["count"], left["first"]) for left in told["left_out"]] == [(2, "line 4")]
    assert told["open"]["n"] == 1


def test_it_names_what_it_scored(run: Run, puzzles: Path) -> None:
    outcome = run("eval", str(puzzles), "--bundle", "demo", "--blocks", "4", "--json")
    manifest = Bundle.load(DEMO_FOLDER).manifest
    assert outcome.json["scored"] == {
        "kind": "bundle",
        "name": "demo",
        "path": str(DEMO_FOLDER),
        "sha256": manifest.sha256,
        "engine": "ort-cpu",
        "precision": "int8",
    }
    assert outcome.json["file_sha256"] == hashlib.sha256(puzzles.read_bytes()).hexdigest()
    assert outcome.json["rim_edge"] == version("rim-edge")
    shown = run("eval", str(puzzles), "--bundle", "demo", "--blocks", "4", "--precision", "int8").out
    assert f"  bundle demo ({manifest.sha256[:12]}…) · ort-cpu · int8\n" in shown
    assert f"60 of 60 rows · rim-edge {version('rim-edge')}\n" in shown


def test_a_checkpoint_is_scored_in_the_arithmetic_that_is_named(run: Run, puzzles: Path) -> None:
    options = ("--model", str(CHECKPOINT), "--blocks", "4", "--limit", "20", "--json")
    scored = run("eval", str(puzzles), *options).json["scored"]
    assert (scored["kind"], scored["precision"]) == ("checkpoint", "fp32")
    assert scored["engine"].endswith(" on cpu")
    assert scored["sha256"] == Bundle.load(DEMO_FOLDER).manifest.source.weights_sha256
    narrow = run("eval", str(puzzles), *options, "--precision", "bf16", "--device", "cpu").json
    assert narrow["scored"]["precision"] == "bf16"
    assert narrow["by_blocks"]["4"]["right"] >= 17
    assert narrow["shuffled_blocks"]["n"] == 20


def test_each_row_can_be_saved(run: Run, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "saved.jsonl"
    options = ("--bundle", "demo", "--blocks", "3..4", "--save", str(target), "--json")
    told = run("eval", str(mixed), *options).json
    rows = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    places = ["line 1", "line 3", *(f"line {number}" for number in range(6, 64))]
    assert sorted(row["row"] for row in rows) == sorted(places)
    assert sum(row["right"] for row in rows) == told["by_blocks"]["4"]["right"]
    assert sum(row["given"]["3"]["answer"] == row["answer"] for row in rows) == told["by_blocks"]["3"]["right"]
    for given in (row["given"]["4"] for row in rows):
        assert given["answer"] == max(given["probabilities"], key=given["probabilities"].get)
        assert (given["tokens"], given["text"], given["first_ms"]) == (1, None, None)
    question = json.loads(mixed.read_text(encoding="utf-8").splitlines()[0])["question"]
    (first,) = (row for row in rows if row["row"] == "line 1")
    assert first["question_sha256"] == hashlib.sha256(question.encode()).hexdigest()
    other = run("eval", str(mixed), "--bundle", "demo", "--blocks", "4", "--save", str(target))
    assert other.code == 2, "nothing is overwritten"
    assert (
        "already exists, and holds answers of another run (demo int8, letter or open, 3..4 blocks, ort-cpu)"
        in other.err
    )
    monkeypatch.setattr(Engine, "ask_many", lambda *_, **__: pytest.fail("it was asked all the same"))
    refused = run("eval", str(mixed), "--bundle", "demo", "--save", f"{target}/rows.jsonl")
    assert refused.code == 1
    assert "Cannot write" in refused.err


def test_ctrl_c_shows_what_was_scored_so_far(
    run: Run, puzzles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    puzzles.write_text(puzzles.read_text(encoding="utf-8") * 3, encoding="utf-8")
    monkeypatch.setattr(asking, "_parts", lambda rows, at_once: [list(range(100)), list(range(100, len(rows)))])
    ask_many, calls = Engine.ask_many, []

    def stopped(engine: Engine, questions: list[Question], **options: int) -> list[Answer]:
        calls.append(len(questions))
        if len(calls) > 2:
            raise KeyboardInterrupt
        return ask_many(engine, questions, **options)

    monkeypatch.setattr(Engine, "ask_many", stopped)
    target = tmp_path / "saved.jsonl"
    outcome = run("eval", str(puzzles), "--bundle", "demo", "--blocks", "3..4", "--json", "--save", str(target))
    assert outcome.code == 130
    told = outcome.json
    assert (told["partial"], told["n"], told["rows"]) == (True, 100, 180)
    assert "stopped after 100 of 180 rows" in outcome.err
    assert len(target.read_text(encoding="utf-8").splitlines()) == 100
    calls.clear()
    assert "partial: it was stopped" in run("eval", str(puzzles), "--bundle", "demo", "--blocks", "3..4").out
    calls[:] = [1, 2]
    at_once = run("eval", str(puzzles), "--bundle", "demo")
    assert (at_once.code, at_once.out) == (130, "")


def test_bad_rows_are_refused_or_counted(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "Where?\\nA: here\\nB: there", "answer": "A"}\nnothing\n', encoding="utf-8")
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
    done = subprocess.run(
        [sys.executable, "-c", code, str(puzzles)], capture_output=True, text=True, check=True, timeout=300
    )
    assert json.loads(done.stdout.splitlines()[1]) == []
