"""`rim-edge calibrate`, and what `ask` makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rim_runtime import Engine
from rim_runtime.calibration import find_calibration
from rim_runtime.machine.folders import calibrations_file

from rim_edge.puzzles.fresh import fresh_puzzles

Run = Callable[..., Any]
PUZZLES = fresh_puzzles(150, seed=21)
ASK = ("ask", PUZZLES[0].question, "--bundle", "demo", "--engine", "ort-cpu")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(puzzle.row()) + "\n" for puzzle in PUZZLES))
    return file


def calibrated(run: Run, rows: Path, *options: str) -> Any:
    done = run("calibrate", str(rows), "--bundle", "demo", "--engine", "ort-cpu", *options, "--json")
    assert done.code == 0, done.err
    return done.json


def test_it_is_fitted_kept_used_and_forgotten(run: Run, rows: Path) -> None:
    before = run(*ASK, "--json").json
    assert "calibrated" not in before
    found = calibrated(run, rows, "--coverage", "0.8")
    assert found["kept"]["questions"] == 150
    assert found["accuracy"] > 0.9
    after = run(*ASK, "--json").json
    sure = after["calibrated"]
    assert after["probabilities"] == before["probabilities"], "the model's own stay"
    assert sure["temperature"] == found["temperature"]
    weights = {letter: share ** (1 / sure["temperature"]) for letter, share in before["probabilities"].items()}
    total = sum(weights.values())
    assert sure["probabilities"] == pytest.approx({letter: one / total for letter, one in weights.items()})
    assert sure["letters"][0] == after["letter"]
    assert (sure["coverage"], sure["held_back"]) == (0.8, False)
    shown = run(*ASK)
    assert "calibrated on 150 questions of rows.jsonl; with 80 % it is" in shown.out.replace("\n  ", " ")
    assert "not calibrated" not in shown.out
    with Engine.load("demo", engine="ort-cpu") as engine:
        kept = find_calibration(engine.manifest, engine.precision, engine.manifest.prompt.blocks)
        assert kept is not None and kept.temperature == found["temperature"]
        assert find_calibration(engine.manifest, engine.precision, 1) is None, "other blocks, another calibration"
    assert "calibrated" not in run(*ASK, "--blocks", "1", "--json").json
    assert run("calibrate", "--bundle", "demo", "--forget", "--json").json["forgotten"] == 1
    assert "calibrated" not in run(*ASK, "--json").json


def test_the_picture_is_whole_and_needs_nothing(run: Run, rows: Path, tmp_path: Path) -> None:
    file = tmp_path / "reliability.svg"
    found = calibrated(run, rows, "--svg", str(file))
    drawn = file.read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert drawn.count("<circle") == len(found["before"]["bins"]) + len(found["after"]["bins"]) + 2
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    assert run("calibrate", str(rows), *ASK[2:], "--svg", str(file)).code == 2, "it is there"


def test_an_answer_that_is_not_sure_enough_is_held_back(run: Run, rows: Path) -> None:
    unsure = ("ask", "Which vitamin prevents scurvy?", "-c", "Vitamin A", "-c", "Vitamin C", *ASK[2:])
    done = run(*unsure, "--min-confidence", "0.9")
    assert done.code == 2
    assert "First: rim-edge calibrate FILE" in done.err
    calibrated(run, rows)
    done = run(*unsure, "--min-confidence", "0.9")
    assert done.code == 5
    assert "no answer:" in done.out
    done = run(*unsure, "--min-confidence", "0.9", "--raw")
    assert (done.code, done.out) == (5, "")
    done = run(*unsure, "--min-confidence", "0.9", "--json")
    assert (done.code, done.json["calibrated"]["held_back"]) == (5, True)
    done = run(*ASK, "--min-confidence", "0.5", "--raw")
    assert (done.code, done.out.strip()) == (0, PUZZLES[0].answer)


def test_wrong_uses(run: Run, rows: Path, tmp_path: Path) -> None:
    assert "a FILE of rows is missing" in run("calibrate").err
    assert "exclude each other" in run("calibrate", str(rows), "--forget").err
    few = tmp_path / "few.jsonl"
    few.write_text("".join(json.dumps(puzzle.row()) + "\n" for puzzle in PUZZLES[:39]))
    done = run("calibrate", str(few), "--bundle", "demo", "--engine", "ort-cpu")
    assert done.code == 2
    assert "39 questions with letters are too few" in done.err


DAMAGED = {
    "no JSON": "nope",
    "no calibrations": "{}",
    "a list": '{"schema_version": 1, "calibrations": []}',
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_stops_no_answer_and_is_mended(run: Run, rows: Path, case: str) -> None:
    file = calibrations_file()
    file.parent.mkdir()
    file.write_text(DAMAGED[case])
    done = run(*ASK, "--raw")
    assert (done.code, done.out.strip()) == (0, PUZZLES[0].answer)
    assert f"note: answers are not calibrated: {file} cannot be read" in done.err
    needed = run(*ASK, "--min-confidence", "0.5")
    assert (needed.code, needed.out) == (2, "")
    assert "Make them again: rim-edge calibrate FILE" in needed.err
    copy = file.with_name("calibrations.json.damaged")
    forgotten = run("calibrate", "--bundle", "demo", "--forget")
    assert (forgotten.code, copy.read_text()) == (0, DAMAGED[case])
    assert f"they are in {copy}" in forgotten.err
    file.write_text(DAMAGED[case])
    calibrated(run, rows)
    assert copy.with_name(f"{copy.name}-2").read_text() == DAMAGED[case], "no copy is overwritten"
    assert run(*ASK, "--min-confidence", "0.5").code == 0


def test_a_damaged_entry_is_told_too(run: Run, rows: Path) -> None:
    calibrated(run, rows)
    kept = json.loads(calibrations_file().read_text())
    for entry in kept["calibrations"].values():
        entry["temperature"] = "warm"
    calibrations_file().write_text(json.dumps(kept))
    assert "answers are not calibrated" in run(*ASK).err
    assert run(*ASK, "--min-confidence", "0.5").code == 2
    calibrated(run, rows)
    assert "answers are not calibrated" not in run(*ASK).err


def test_a_file_of_a_later_release_is_named_as_such_and_left_alone(run: Run, rows: Path) -> None:
    calibrated(run, rows)
    later = calibrations_file().read_text().replace('"schema_version": 1', '"schema_version": 2')
    calibrations_file().write_text(later)
    named = "has schema version 2, this release of rim-edge reads 1"
    told = run(*ASK)
    assert (told.code, named in told.err) == (0, True)
    for refused in (
        run(*ASK, "--min-confidence", "0.5"),
        run("calibrate", str(rows), "--bundle", "demo", "--engine", "ort-cpu"),
        run("calibrate", "--bundle", "demo", "--forget"),
    ):
        assert (refused.code, refused.out, named in refused.err) == (2, "", True)
    assert calibrations_file().read_text() == later
