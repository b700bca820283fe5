"""`--permute`, in `ask` and in `eval`, and the position bias that it lowers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.puzzle import Family

Run = Callable[..., Any]
ASK = ("ask", "Which vitamin prevents scurvy?", "-c", "Vitamin A", "-c", "Vitamin B", "-c", "Vitamin C")
DEMO = ("--bundle", "demo", "--engine", "ort-cpu")


def test_one_question_in_every_order(run: Run) -> None:
    done = run(*ASK, *DEMO, "--permute", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert set(found["permuted"]["orders"]) <= set("ABC")
    assert len(found["permuted"]["orders"]) == 3
    assert sum(found["probabilities"].values()) == pytest.approx(1.0)
    assert found["probabilities"] != run(*ASK, *DEMO, "--json").json["probabilities"]
    assert run(*ASK, *DEMO, "--permute", "--raw").out.strip() == found["letter"]
    done = run("ask", "Why?", *DEMO, "--permute")
    assert done.code == 2
    assert "cannot be put in another order" in done.err
    done = run(*ASK, *DEMO, "--permute", "--min-confidence", "0.5")
    assert "exclude each other" in done.err


def test_rows_in_every_order(run: Run, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    puzzles = [*fresh_puzzles(20, 5, Family.ORDERING), *fresh_puzzles(4, 5, Family.ROOMS)]
    rows.write_text("".join(json.dumps(puzzle.row()) + "\n" for puzzle in puzzles))
    plain = run("eval", str(rows), *DEMO, "--blocks", "4", "--json").json
    done = run("eval", str(rows), *DEMO, "--blocks", "4", "--permute", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert (plain["asked"]["permute"], found["asked"]["permute"]) == (False, True)
    assert [one["count"] for one in found["left_out"]] == [4], "rooms have no options in their text"
    assert found["majority"]["n"] == 20
    assert 0 <= found["position_bias"] <= 1
    assert found["by_blocks"]["4"]["right"] >= 15
    assert "position bias" in run("eval", str(rows), *DEMO, "--blocks", "4", "--permute").out
    done = run("eval", str(rows), "--model", "rim_edge/demo/checkpoint", "--permute")
    assert done.code == 2
    assert "--permute asks a bundle" in done.err
