"""The bundle that ships inside the package, as a user meets it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from rim_runtime import Bundle, Engine, Question

from rim_edge.cli.show.lead import ClearLead
from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.puzzle import Family
from tests.places import DEMO_FOLDER

Run = Callable[..., Any]


def test_it_is_small_whole_and_int8() -> None:
    bundle = Bundle.load(DEMO_FOLDER)
    bundle.verify()
    assert bundle.manifest.variants[0].precision == "int8"
    assert sum(path.stat().st_size for path in DEMO_FOLDER.iterdir()) <= 4_000_000
    assert not bundle.unlisted_files()


@pytest.mark.parametrize("family", list(Family))
def test_ask_answers_a_fresh_puzzle(run: Run, family: Family) -> None:
    (puzzle,) = fresh_puzzles(1, 20_251, family)
    text, _ = puzzle.text_and_options
    choices = [word for said, _ in puzzle.offered for word in ("-c", said)]
    answered = run("ask", text, *choices, "--json")
    assert answered.json["letter"] == puzzle.answer
    assert answered.err.startswith("note: this is the embedded demo")
    assert UNSURE not in answered.err


def test_it_is_right_on_fresh_puzzles_of_every_family_and_sure_of_them() -> None:
    with Engine.load(DEMO_FOLDER) as engine:
        for family in Family:
            puzzles = fresh_puzzles(200, 20_252, family)
            answers = engine.ask_many([Question(puzzle.question) for puzzle in puzzles])
            right = [answer.letter == puzzle.answer for puzzle, answer in zip(puzzles, answers, strict=True)]
            assert sum(right) >= 0.9 * len(puzzles), family
            assert median(answer.confidence for answer in answers) > 0.9


ORDINARY = {
    "Why is the sky blue?": (),
    "Who wrote the first novel in English?": (),
    "What do you think of the weather today?": (),
    "Which vitamin deficiency causes scurvy?": ("Vitamin A", "Vitamin B12", "Vitamin C", "Vitamin D"),
    "Which of these planets is the largest?": ("Mars", "Venus", "Jupiter", "Saturn", "Earth"),
    "How many legs does a spider have?": ("4", "6", "8", "10"),
    "A train travels 120 km in two hours. What is its average speed?": ("40 km/h", "60 km/h", "80 km/h"),
    "Which organ pumps blood through the body?": ("the liver", "the heart", "the lungs", "the kidneys"),
}


def test_it_is_unsure_of_what_is_no_puzzle() -> None:
    with Engine.load(DEMO_FOLDER) as engine:
        answers = engine.ask_many([Question(text, choices) for text, choices in ORDINARY.items()])
    assert median(answer.confidence for answer in answers) < 0.5
    assert sum(answer.confidence > 0.8 for answer in answers) <= 1


UNSURE = "note: the demo does not know: "


@pytest.mark.parametrize("named", [(), ("--bundle", "demo")], ids=["by default", "named"])
@pytest.mark.parametrize(("text", "choices"), list(ORDINARY.items())[3:5], ids=["medicine", "planets"])
def test_ask_says_that_it_does_not_know(
    run: Run, named: tuple[str, ...], text: str, choices: tuple[str, ...]
) -> None:
    asked = run("ask", text, *(word for choice in choices for word in ("-c", choice)), "-r", *named)
    assert asked.code == 0
    assert UNSURE + asked.out.strip() in asked.err


def test_it_says_so_of_other_texts_and_not_of_its_puzzles() -> None:
    pairs = [choices[:2] for choices in ORDINARY.values()]
    with Engine.load(DEMO_FOLDER) as engine:
        others = engine.ask_many([Question(text, choices) for text, choices in ORDINARY.items()])
        others += engine.ask_many(list(map(Question, ORDINARY, pairs)))
        known = engine.ask_many([Question(puzzle.question) for puzzle in fresh_puzzles(300, 20_254)])
    assert not any(map(ClearLead.DEMO.reached, others))
    assert sum(map(ClearLead.DEMO.reached, known)) >= 0.96 * len(known)


def test_it_ships_in_the_list(run: Run) -> None:
    (entry,) = run("bundle", "list", "--json").json["bundles"]
    assert (entry["name"], entry["path"], entry["default"]) == ("demo", str(DEMO_FOLDER), True)
    assert (entry["precisions"], entry["missing"], entry["trouble"]) == (["int8"], False, None)


def test_a_new_process_answers_and_loads_nothing_that_it_can_do_without() -> None:
    """What a start costs is in bench/start.py; this is what keeps it short."""
    (puzzle,) = fresh_puzzles(1, 20_253)
    command = [sys.executable, "-X", "importtime", "-m", "rim_edge", "ask", puzzle.question, "--engine", "ort-cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split()[0] == puzzle.answer
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"onnxruntime", "tokenizers", "rim_runtime"} <= loaded
    assert not loaded & {
        "torch",
        "transformers",
        "onnx",
        "openvino",
        "scipy",
        "sympy",
        "huggingface_hub",
        "rim_export",
    }
