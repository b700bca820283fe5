"""The bundle that ships inside the package, as a user meets it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from rim_runtime import Bundle

from rim_edge.bundles import DEMO_FOLDER
from rim_edge.demo.puzzles import fresh_puzzles

Run = Callable[..., Any]
START_TO_ANSWER_S = 0.6


def test_it_is_small_whole_and_int8() -> None:
    bundle = Bundle.load(DEMO_FOLDER)
    bundle.verify()
    assert bundle.manifest.variants[0].precision == "int8"
    assert sum(path.stat().st_size for path in DEMO_FOLDER.iterdir()) <= 4_000_000
    assert not bundle.unlisted_files()


def test_ask_answers_a_fresh_puzzle(run: Run) -> None:
    (puzzle,) = fresh_puzzles(1, 20_251)
    answered = run("ask", puzzle.question, "--json")
    assert answered.json["letter"] == puzzle.answer
    assert answered.err.startswith("note: this is the embedded demo")


def test_it_is_right_on_fresh_puzzles(run: Run) -> None:
    body = run("demo", "--count", "100", "--seed", "20252", "--json").json
    assert body["accuracy"] >= 0.9


def test_it_ships_in_the_list(run: Run) -> None:
    entries = run("bundle", "list", "--json").json["bundles"]
    assert entries == [{"name": "demo", "path": str(DEMO_FOLDER), "default": True}]


@pytest.mark.slow
def test_from_start_to_printed_answer() -> None:
    """The best of ten starts: a busy machine slows some of them down."""
    (puzzle,) = fresh_puzzles(1, 20_253)
    taken = []
    for _ in range(10):
        start = time.perf_counter()
        command = [sys.executable, "-m", "rim_edge", "ask", puzzle.question]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        taken.append(time.perf_counter() - start)
        assert done.stdout.split()[0] == puzzle.answer
    assert min(taken) <= START_TO_ANSWER_S
