"""The embedded demo: its int8 bundle against its own checkpoint in fp32, on puzzles neither has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rim_export
from rim_runtime import Engine, Question
from rim_runtime.bundle.manifest import Precision

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import DEMO_FOLDER, DEMO_PACKAGE

DEMO = DEMO_PACKAGE


def test_500_fresh_puzzles(tmp_path: Path) -> None:
    options = rim_export.ExportOptions(precision=Precision.FP32, certify=DEMO / "questions.jsonl")
    wide = rim_export.export(DEMO / "checkpoint", tmp_path / "fp32", options).bundle
    puzzles = fresh_puzzles(500, seed=41)
    questions = [Question(puzzle.question) for puzzle in puzzles]
    with Engine.load(DEMO_FOLDER) as narrow, Engine.load(wide) as reference:
        ours = [answer.letter for answer in narrow.ask_many(questions)]
        theirs = [answer.letter for answer in reference.ask_many(questions)]
        control = [answer.letter for answer in narrow.ask_many(questions, blocks=0)]
    truth = [puzzle.answer for puzzle in puzzles]
    assert np.mean([a == b for a, b in zip(ours, truth, strict=True)]) >= 0.93
    assert np.mean([a == b for a, b in zip(ours, theirs, strict=True)]) >= 0.97
    assert np.mean([a == b for a, b in zip(control, truth, strict=True)]) < 0.75  # blocks do some of the work


def test_the_bundle_is_small() -> None:
    assert sum(path.stat().st_size for path in DEMO_FOLDER.iterdir()) <= 4_000_000
