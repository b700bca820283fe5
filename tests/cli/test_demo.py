"""`rim-edge demo`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_edge import bundles

Run = Callable[..., Any]


def test_json_is_the_contract(run: Run, demo_bundle: Path) -> None:
    shown = run("demo", "--count", "5", "--seed", "7", "--json")
    body = shown.json
    assert list(body) == ["schema_version", "n", "accuracy", "accuracy_blocks_0", "puzzles"]
    assert body["n"] == len(body["puzzles"]) == 5
    assert 0 <= body["accuracy_blocks_0"] <= 1
    right = sum(row["answer"] == row["letter"] for row in body["puzzles"])
    assert body["accuracy"] == right / 5
    for row in body["puzzles"]:
        assert list(row) == ["question", "answer", "letter", "probabilities"]
        assert row["answer"] in "ABCDEFGH"
    again = run("demo", "--count", "5", "--seed", "7", "--json").json
    assert again["puzzles"] == body["puzzles"]


def test_people_see_answers_and_truth(run: Run, demo_bundle: Path) -> None:
    shown = run("demo")
    assert shown.out.count("You start in") == 3
    assert shown.out.count("right   ") + shown.out.count("wrong, it is") == 3
    assert "with 8 memory blocks" in shown.out
    assert "see them again with: rim-edge demo --count 3 --seed" in shown.err


def test_puzzles_are_fresh_each_time(run: Run, demo_bundle: Path) -> None:
    first, second = run("demo", "--json").json, run("demo", "--json").json
    assert first["puzzles"] != second["puzzles"]


def test_an_installation_without_demo_says_so(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "DEMO_FOLDER", tmp_path / "none")
    failed = run("demo")
    assert failed.code == 2
    assert "This installation has no demo bundle" in failed.err
