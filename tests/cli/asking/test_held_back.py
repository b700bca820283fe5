"""`rim-edge ask --min-confidence` in all its forms, and what it and `--permute` exclude."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, Precision, Question, QuestionError
from rim_runtime.bundle.folder import Bundle
from rim_runtime.calibration import Calibration, keep_calibration
from rim_runtime.generate.readout import Readout

from rim_edge.cli.asking.answering import Wanted
from rim_edge.cli.asking.writing_options import WritingOptions
from rim_edge.cli.show.numbers import percent
from tests.places import DEMO_FOLDER
from tests.traced_bundle import traced_bundle

__all__ = ["traced_bundle"]
Run = Callable[..., Any]
QUESTION = ("Which one?", "-c", "this", "-c", "that")
ROW = {"id": 1, "question": "Which one?", "options": ["this", "that"]}


def calibrate(folder: Path, temperature: float, precision: Precision = Precision.FP32) -> Calibration:
    """Keep a calibration of a bundle with all its blocks; a high temperature leaves no letter sure."""
    manifest = Bundle.load(folder).manifest
    made = Calibration(temperature, 0.9, 0.5, manifest.prompt.blocks, 100, "rows.jsonl", "0" * 64)
    keep_calibration(manifest, precision, made)
    return made


@pytest.fixture
def unsure(tiny_bundle: Path) -> tuple[str, ...]:
    calibrate(tiny_bundle, 50.0)
    return ("--bundle", str(tiny_bundle), "--min-confidence", "0.9")


def test_json_has_no_letter(run: Run, unsure: tuple[str, ...]) -> None:
    done = run("ask", *QUESTION, *unsure, "--json")
    assert (done.code, done.json["letter"], done.json["choice"]) == (5, None, None)
    assert done.json["calibrated"]["held_back"]


def test_rows_have_no_letter_and_exit_5_at_their_end(run: Run, unsure: tuple[str, ...], tiny_bundle: Path) -> None:
    given = "".join(json.dumps(ROW) + "\n" for _ in range(2)).encode()
    done = run("ask", "--jsonl", *unsure, stdin=given)
    bodies = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, [body["letter"] for body in bodies]) == (5, [None, None])
    assert all(body["calibrated"]["held_back"] and body["choice"] is None for body in bodies)
    assert run("ask", "--jsonl", *unsure, stdin=given + b"nope\n").code == 2, "a row that failed counts more"
    with Engine.load(tiny_bundle) as engine:
        letter = engine.ask("Which one?", ["this", "that"]).letter
    passed = run("ask", "--jsonl", *unsure[:2], "--min-confidence", "0.1", stdin=given)
    assert (passed.code, [json.loads(line)["letter"] for line in passed.out.splitlines()]) == (0, [letter] * 2)


def test_a_conversation_goes_on(run: Run, unsure: tuple[str, ...]) -> None:
    done = run("ask", *unsure, typed="Which?\nA: x\nB: y\n\nWhat?\nA: x\nB: y\n\n")
    assert (done.code, done.out.count("no answer:")) == (0, 2)


def test_the_demo_shows_the_confidence_that_was_enough(run: Run) -> None:
    asked = ("ask", "Which vitamin prevents scurvy?", "-c", "Vitamin A", "-c", "Vitamin C", "--bundle", "demo")
    own = run(*asked, "--json").json
    made = calibrate(DEMO_FOLDER, 3.0, Precision.INT8)
    sure = made.probabilities(own["probabilities"])[own["letter"]]
    assert percent(sure) != percent(own["confidence"])
    shown = run(*asked, "--min-confidence", "0.01")
    assert shown.code == 0
    assert percent(sure) in shown.out and percent(own["confidence"]) not in shown.out
    assert "calibrated on 100 questions of rows.jsonl" in shown.out
    assert "not calibrated" in run(*asked).out, "no calibration holds for what it never saw"


@pytest.mark.parametrize("more", [("--min-confidence", "0.9"), ("--permute",)])
def test_a_trace_excludes_it(run: Run, traced_bundle: Path, more: tuple[str, ...]) -> None:
    calibrate(traced_bundle, 50.0)
    done = run("ask", *QUESTION, "--bundle", str(traced_bundle), "--trace", *more)
    assert (done.code, done.out) == (2, "")
    assert f"--trace and {more[0]} exclude each other" in done.err


@pytest.mark.parametrize(
    ("name", "wanted"), [("--min-confidence", {"least": 0.9}), ("--permute", {"permute": True})]
)
def test_answers_in_words_exclude_it(name: str, wanted: dict[str, Any]) -> None:
    words = WritingOptions()
    letters = Wanted(None, Readout.SINGLE_PASS, words, **wanted)
    assert letters.words_for(Question("Which?", ("a", "b"))) is None
    with pytest.raises(QuestionError, match=f"{name} is for letters, and a question without options is answered"):
        letters.words_for(Question("Why?"))
    assert Wanted(None, Readout.SINGLE_PASS, words).words_for(Question("Why?")) == words


@pytest.mark.parametrize(
    "more", [("--permute", "--min-confidence", "0.5"), ("--readout", "generate", "--permute")]
)
def test_letters_of_other_ways_exclude_it(run: Run, tiny_bundle: Path, more: tuple[str, ...]) -> None:
    assert run("ask", *QUESTION, "--bundle", str(tiny_bundle), *more).code == 2
