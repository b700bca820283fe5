"""`rim-edge demo`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime.bundle import names

Run = Callable[..., Any]


def test_json_is_the_contract(run: Run, demo_bundle: Path) -> None:
    shown = run("demo", "--count", "6", "--seed", "7", "--json")
    body = shown.json
    assert list(body) == ["schema_version", "n", "accuracy", "accuracy_blocks_0", "guess", "families", "puzzles"]
    assert body["n"] == len(body["puzzles"]) == 6
    assert 0 <= body["accuracy_blocks_0"] <= 1
    assert 1 / 8 <= body["guess"] <= 1 / 4
    right = sum(row["answer"] == row["letter"] for row in body["puzzles"])
    assert body["accuracy"] == right / 6
    assert {family: score["n"] for family, score in body["families"].items()} == {
        "rooms": 2, "ordering": 2, "baskets": 2,
    }  # fmt: skip
    assert sum(score["right"] for score in body["families"].values()) == right
    for row in body["puzzles"]:
        assert list(row) == ["family", "question", "answer", "letter", "probabilities"]
        assert row["answer"] in "ABCDEFGH"
    again = run("demo", "--count", "6", "--seed", "7", "--json").json
    assert again["puzzles"] == body["puzzles"]


def test_people_see_answers_and_truth(run: Run, demo_bundle: Path) -> None:
    shown = run("demo")
    text = " ".join(shown.out.split())  # lines wrap wherever these puzzles' words make them
    assert all(text.count(words) == 1 for words in ("You start in", "Who is the ", "apples are there now?"))
    assert "   B: " in shown.out, "options stand in one line"
    assert shown.out.count("right   ") + shown.out.count("wrong, it is") == 3
    assert "with 8 memory blocks" in shown.out
    assert "see them again with: rim-edge demo --count 3 --seed" in shown.err


def test_one_family_alone(run: Run, demo_bundle: Path) -> None:
    shown = run("demo", "--family", "ordering", "-n", "2")
    assert "Who is the " in " ".join(shown.out.split())
    assert "rim-edge demo --count 2 --family ordering --seed" in shown.err
    assert run("demo", "--family", "riddles").code == 2


def test_many_are_summed_up_by_family(run: Run, demo_bundle: Path) -> None:
    assert "of 2 · ordering " in run("demo", "-n", "6").out


def test_of_many_the_summary_stands_alone(run: Run, demo_bundle: Path) -> None:
    summary = run("demo", "-n", "12", "--seed", "7").out
    assert len(summary.strip().splitlines()) == 3
    whole = run("demo", "-n", "12", "--seed", "7", "--all").out
    assert whole.endswith(summary)
    assert whole.count("leads by") == 12
    assert len(run("demo", "-n", "12", "--json").json["puzzles"]) == 12


def test_puzzles_are_fresh_each_time(run: Run, demo_bundle: Path) -> None:
    first, second = run("demo", "--json").json, run("demo", "--json").json
    assert first["puzzles"] != second["puzzles"]


def test_an_installation_without_demo_says_so(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "demo_folder", lambda: None)
    failed = run("demo")
    assert failed.code == 2
    assert "This installation has no demo bundle" in failed.err
