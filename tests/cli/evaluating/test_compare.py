"""`rim-edge bundle compare`: two bundles on the same questions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import FakeBackend
from rim_runtime.testing import fake_engine

from rim_edge.evaluation.two_bundles import compare_answers
from rim_edge.puzzles.fresh import fresh_puzzles

Run = Callable[..., Any]


def test_a_bundle_beside_itself_and_beside_another(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(puzzle.row()) + "\n" for puzzle in fresh_puzzles(12, 3)))
    alike = run("bundle", "compare", "demo", "demo", "--rows", str(rows), "--engine", "ort-cpu", "--json")
    assert alike.code == 0, alike.err
    assert (alike.json["questions"], alike.json["labelled"], alike.json["different"]) == (12, 12, [])
    assert alike.json["mean_kl"] == 0
    assert [one["right"] for one in alike.json["bundles"]] == 2 * [alike.json["bundles"][0]["right"]]
    options = ("--rows", str(rows), "--engine", "ort-cpu")
    other = run("bundle", "compare", "demo", str(tiny_bundle), *options, "--json")
    assert other.code == 0, other.err
    assert other.json["different"] and other.json["mean_kl"] > 0
    shown = run("bundle", "compare", "demo", str(tiny_bundle), *options)
    count = len(other.json["different"])
    rows.write_text(rows.read_text() + "no JSON\n")
    assert run("bundle", "compare", "demo", "demo", *options).code == 2
    assert run("bundle", "compare", "demo", "demo", *options, "--skip-bad", "--json").json["questions"] == 12
    assert f"{count} of {other.json['questions']} letters differ" in shown.out


def test_the_questions_that_ship_are_asked_by_default(run: Run) -> None:
    done = run("bundle", "compare", "demo", "demo", "--limit", "5", "--engine", "ort-cpu", "--json")
    assert done.code == 0, done.err
    assert done.json["questions"] == 5


def test_divergence_and_near_ties_by_hand() -> None:
    first, second = (
        fake_engine(FakeBackend([0.0, math.log(share), *8 * [-99.0]])).ask("Which?", ["x", "y"])
        for share in (0.95, 3.0)
    )
    found = compare_answers(["Which?"], [first], [second], ["B"])
    (one,) = found.different
    assert (one.first, one.second, one.is_near, one.right) == ("A", "B", True, "B")
    p, q = 1 / 1.95, 1 / 4
    assert found.mean_kl == pytest.approx(p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)), rel=1e-5)
    assert (found.right, found.labelled, found.near) == ((0, 1), 1, 1)
    assert compare_answers(["Which?"], [first], [first], [None]).right is None
