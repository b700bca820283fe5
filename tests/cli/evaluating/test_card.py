"""`rim-edge eval --card`, and runs that are saved, continued and compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Answer, Engine, Question

from rim_edge.evaluation.report.card import read_card
from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import REPOSITORY

Run = Callable[..., Any]
CARD = """
title = "Puzzles <&> more"
pass_at = [2]

[[data]]
name = "fresh puzzles"
file = "puzzles.jsonl"

[[ways]]
name = "RiM"
way = "letter"
blocks = "3..4"

[[ways]]
name = "zero-shot"
way = "zero-shot"

[[models]]
name = "demo"
bundle = "demo"
engine = "ort-cpu"
"""


@pytest.fixture
def puzzles(tmp_path: Path) -> Path:
    path = tmp_path / "puzzles.jsonl"
    path.write_text("".join(json.dumps(one.row()) + "\n" for one in fresh_puzzles(12, 77)), encoding="utf-8")
    return path


@pytest.fixture
def card(puzzles: Path) -> Path:
    path = puzzles.with_name("card.toml")
    path.write_text(CARD, encoding="utf-8")
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many questions each call of the engine had; `[-1]` in it ends the next one as Ctrl-C does."""
    counts: list[int] = []
    ask_many = Engine.ask_many

    def counting(engine: Engine, questions: list[Question], **options: int) -> list[Answer]:
        if -1 in counts:
            raise KeyboardInterrupt
        counts.append(len(questions))
        return ask_many(engine, questions, **options)

    monkeypatch.setattr(Engine, "ask_many", counting)
    return counts


def test_a_card_is_one_table(run: Run, card: Path) -> None:
    page = card.with_name("page.html")
    told = run("eval", "--card", str(card), "--html", str(page), "--json").json
    assert (told["title"], told["partial"]) == ("Puzzles <&> more", False)
    assert [(line["model"], line["way"], line["blocks"], line["n"]) for line in told["lines"]] == [
        ("demo", "RiM", 3, 12),
        ("demo", "RiM", 4, 12),
    ]
    assert all(line["first_ms"] > 0 and line["pass_at"]["2"] > 0.5 for line in told["lines"])
    (lost,) = told["not_asked"]
    assert lost["way"] == "zero-shot"
    assert "answers with letters alone" in lost["reason"]
    html = page.read_text(encoding="utf-8")
    assert "<h1>Puzzles &lt;&amp;&gt; more</h1>" in html
    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"https?:|<script|<link|<img|url\(|@import", html), "nothing comes from elsewhere"
    assert html.count("<tr>") == 3


def test_what_is_saved_is_not_asked_again(run: Run, card: Path, asked: list[int]) -> None:
    first = run("eval", "--card", str(card))
    assert len(asked) == 24, "one by one, with two numbers of blocks"
    assert "pass@2 %" in first.out
    assert re.search(r"demo +RiM +4 +12 +\d+\.\d", first.out)
    del asked[:]
    again = run("eval", "--card", str(card))
    assert (again.out, asked) == (first.out, [])
    assert "12 of 12 rows are answered there already" in again.err


def test_a_card_that_was_stopped_goes_on(run: Run, card: Path, asked: list[int], monkeypatch: Any) -> None:
    from rim_edge.evaluation.report.saved import SavedRows

    add = SavedRows.add

    def stopping(self: SavedRows, *rows: Any) -> None:
        add(self, *rows)
        if len(asked) == 10:
            asked.append(-1)

    monkeypatch.setattr(SavedRows, "add", stopping)
    page = card.with_name("page.html")
    stopped = run("eval", "--card", str(card), "--html", str(page), "--json")
    assert (stopped.code, stopped.json["partial"]) == (130, True)
    assert [line["n"] for line in stopped.json["lines"]] == [5, 5]
    assert "Partial: it was stopped" in page.read_text(encoding="utf-8")
    monkeypatch.setattr(SavedRows, "add", add)
    del asked[:]
    assert run("eval", "--card", str(card), "--json").json["lines"][0]["n"] == 12
    assert len(asked) == 14
    assert "already exists" in run("eval", "--card", str(card), "--html", str(page)).err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('way = "zero-shot"', 'way = "zeroshot"', "ways[1].way is 'zeroshot', expected one of: letter, open,"),
        ('bundle = "demo"', "", "models[0].bundle is None, expected a bundle or a checkpoint, one of the two."),
        ('name = "zero-shot"', 'name = "rim"', "expected a name of its own for each"),
        ('engine = "ort-cpu"', 'ways = ["chain"]', "models[0].ways is 'chain', expected one of: RiM, zero-shot."),
        ("[[data]]", "[[dat]]", "there is the unknown key 'dat'"),
        ("pass_at = [2]", "pass_at = 2", "pass_at is 2, expected a list."),
        ("pass_at = [2]", "samples = 1001", "samples is 1001, expected a whole number of at most 1,000."),
        ("title", "=", "is no TOML file that can be read"),
        ('"puzzles.jsonl"', '"lost.jsonl"', "lost.jsonl"),
    ],
)
def test_a_card_that_cannot_be_is_refused_by_key(run: Run, card: Path, old: str, new: str, words: str) -> None:
    card.write_text(CARD.replace(old, new), encoding="utf-8")
    outcome = run("eval", "--card", str(card))
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


def test_a_card_that_is_empty_or_not_there_is_refused(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    assert f"{empty}: it lacks data, ways, models. Add what is missing." in run("eval", "--card", str(empty)).err
    for path, told in ((tmp_path, "is a folder"), (tmp_path / "none.toml", "There is no file")):
        outcome = run("eval", "--card", str(path))
        assert (outcome.code, "Errno" in outcome.err) == (2, False)
        assert told in outcome.err and "expected a card in TOML" in outcome.err


@pytest.mark.parametrize(
    "option", [("--as", "letter"), ("-b", "demo"), ("--engine", "ort-cpu"), ("--one-by-one",), ("--seed", "1")]
)
def test_what_a_card_says_itself_is_no_option_beside_it(run: Run, card: Path, option: tuple[str, ...]) -> None:
    outcome = run("eval", "--card", str(card), *option)
    assert outcome.code == 2
    assert "exclude each other: the card's file says all of it" in outcome.err


def test_the_card_among_the_examples_can_be_read() -> None:
    found = read_card(REPOSITORY / "examples" / "card" / "card.toml")
    assert all(data.file.is_file() for data in found.data)
    assert {model.ways for model in found.models} == {("RiM",), None}


def test_a_run_goes_on_where_it_was_stopped(run: Run, puzzles: Path, asked: list[int]) -> None:
    target = puzzles.with_name("saved.jsonl")
    options = (
        "-b",
        "demo",
        "--engine",
        "ort-cpu",
        "--blocks",
        "4",
        "--save",
        str(target),
        "--one-by-one",
        "--json",
    )
    whole = run("eval", str(puzzles), *options).json
    lines = target.read_bytes().splitlines(keepends=True)
    target.write_bytes(b"".join(lines[:7]) + lines[7][:50])
    del asked[:]
    outcome = run("eval", str(puzzles), *options)
    assert len(asked) == 5
    assert outcome.json["by_blocks"] == whole["by_blocks"]
    assert "7 of 12 rows are answered there already" in outcome.err


def test_two_runs_are_compared_question_by_question(run: Run, puzzles: Path) -> None:
    target = puzzles.with_name("saved.jsonl")
    options = ("-b", "demo", "--engine", "ort-cpu", "--blocks")
    all_blocks = run("eval", str(puzzles), *options, "4", "--save", str(target), "--json").json["by_blocks"]["4"]
    told = run("eval", str(puzzles), *options, "0", "--against", str(target), "--json").json
    found, none = told["against"], told["by_blocks"]["0"]
    assert found["gained"] - found["lost"] == none["right"] - all_blocks["right"] < 0
    assert found["difference"] == pytest.approx(none["accuracy"] - all_blocks["accuracy"])
    assert found["low"] < found["difference"] < found["high"]
    assert 0 < found["p"] < 1
    shown = run("eval", str(puzzles), *options, "0", "--against", str(target)).out
    assert f"right here alone {found['gained']}, there alone {found['lost']}; McNemar's exact p 0." in shown
    refused = run("eval", str(puzzles), *options, "0", "--limit", "5", "--against", str(target))
    assert refused.code == 2
    assert "holds 12 answers, and 5 of them are to the 5 questions asked here" in refused.err
