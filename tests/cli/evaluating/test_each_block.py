"""`rim-edge eval --each-block`: what a single block of a checkpoint is worth."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_edge.evaluation.readers import checkpoint_reader
from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import DEMO_FOLDER

Run = Callable[..., Any]
CHECKPOINT = DEMO_FOLDER.parent / "checkpoint"
OPTIONS = ("--model", str(CHECKPOINT), "--each-block")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Thirty puzzles, and an open row."""
    path = tmp_path / "rows.jsonl"
    asked = [*(puzzle.row() for puzzle in fresh_puzzles(30, 78)), {"question": "1+1?", "answer": "2"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    return path


def test_each_block_up_to_the_most_that_are_scored(run: Run, rows: Path) -> None:
    told = run("eval", str(rows), *OPTIONS, "--json").json
    assert sorted(told["exchanged_block"]) == ["1", "2", "3", "4"]
    assert told["letters"]["exchanged_block"] == told["exchanged_block"]
    assert told["open"]["exchanged_block"] is None
    right = {block: score["right"] for block, score in told["exchanged_block"].items()}
    assert {score["n"] for score in told["exchanged_block"].values()} == {30}
    assert min(right.values()) > told["shuffled_blocks"]["right"], "one alone costs less than all"
    assert min(right.values()) < told["letters"]["by_blocks"]["4"]["right"], "some block is read"
    fewer = run("eval", str(rows), *OPTIONS, "--blocks", "1..2", "--json").json
    assert sorted(fewer["exchanged_block"]) == ["1", "2"]
    assert run("eval", str(rows), "--model", str(CHECKPOINT), "--json").json["exchanged_block"] is None


@pytest.mark.parametrize("beside", ["--card", "--saved"])
def test_what_says_all_itself_excludes_it(run: Run, beside: str) -> None:
    outcome = run("eval", beside, "some-file", "--each-block")
    assert outcome.code == 2
    assert f"{beside} and --each-block exclude each other" in outcome.err


def test_with_one_block_it_is_the_shuffled_score(run: Run, rows: Path) -> None:
    told = run("eval", str(rows), *OPTIONS, "--blocks", "1", "--json").json
    assert told["exchanged_block"] == {"1": told["shuffled_blocks"]}


def test_what_people_see(run: Run, rows: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shown = run("eval", str(rows), *OPTIONS, "--blocks", "2", "--html", str(page)).out
    assert re.search(r"another question's blocks .*\n +only one of them, block +1: [\d.]+ %  2: [\d.]+ %\n", shown)
    assert "another question&#x27;s block 2 alone" in page.read_text(encoding="utf-8")


def test_saved_rows_have_it_and_go_on(
    run: Run, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "saved.jsonl"
    told = run("eval", str(rows), *OPTIONS, "--save", str(saved), "--json").json
    lines = [json.loads(line) for line in saved.read_text(encoding="utf-8").splitlines()]
    first = sum(line["exchanged_block"]["1"] == line["answer"] for line in lines if line["letters"])
    assert first == told["exchanged_block"]["1"]["right"]
    assert [line["exchanged_block"] for line in lines if not line["letters"]] == [None]
    assert run("eval", "--saved", str(saved), "--json").json["exchanged_block"] == told["exchanged_block"]
    monkeypatch.setattr(checkpoint_reader, "exchanged_letters", lambda *_: pytest.fail("it was asked again"))
    again = run("eval", str(rows), *OPTIONS, "--save", str(saved), "--json").json
    assert again["exchanged_block"] == told["exchanged_block"]
    other = run("eval", str(rows), "--model", str(CHECKPOINT), "--save", str(saved))
    assert (other.code, "holds answers of another run" in other.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--bundle", "demo", "--each-block"),
            "--each-block needs --model: a bundle's graph cannot be taken apart",
        ),
        ((*OPTIONS, "--blocks", "0"), "exchanges memory blocks, and 0 are asked with, expected 1 at least"),
        ((*OPTIONS, "--as", "open"), "--each-block reads letters, and --as is open"),
        ((*OPTIONS, "--limit", "1"), "rows.jsonl has 1, expected 2 at least"),
    ],
)
def test_where_no_block_can_be_exchanged_it_is_refused(
    run: Run, rows: Path, options: tuple[str, ...], words: str
) -> None:
    outcome = run("eval", str(rows), *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in " ".join(outcome.err.replace("│", " ").split())
