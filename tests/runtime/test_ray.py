"""examples/ray/score.py: killed on two workers and started again, it answers like one engine, row by row."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, Question

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.environments import environment, own_python
from tests.places import DEMO_FOLDER, REPOSITORY

SCRIPT = REPOSITORY / "examples" / "ray" / "score.py"
PINS = ("ray[data]==2.60.0", "tokenizers==0.23.3", "onnxruntime==1.32.0", "platformdirs==4.14.8")
ROWS = 1_200
"""Enough for a run to be killed on its way."""
BAD: dict[int, bytes] = {
    3: b"no JSON",
    4: b"[1]",
    200: b'{"question": "", "id": "empty"}',
    201: b'{"question": "\xff"}',
    202: json.dumps({"question": "Which?", "choices": [str(n) for n in range(11)]}).encode(),
    390: json.dumps({"question": "why " * 2000}).encode(),
}
"""Rows that cannot be answered, by their lines."""


def command(python: Path | str, *arguments: object) -> list[str]:
    return [str(python), str(SCRIPT), *map(str, arguments), "--engine", "ort-cpu"]


def surroundings(home: Path, temporary: str = tempfile.gettempdir()) -> dict[str, str]:
    ours = {"PYTHONPATH": str(REPOSITORY / "runtime"), "RIM_EDGE_HOME": str(home), "TMPDIR": temporary}
    return environment() | ours


@pytest.fixture
def short_folder() -> Iterator[str]:
    """A folder for temporary files: a killed run leaves some, and pytest's names are too long for a socket's."""
    with tempfile.TemporaryDirectory(prefix="rim-", ignore_cleanup_errors=True) as folder:
        yield folder


def write_rows(file: Path) -> dict[int, Question]:
    """Write rows, bad and empty ones among them; return the good ones by their lines."""
    puzzles = [puzzle.question for puzzle in fresh_puzzles(ROWS, 7)]
    lines = {line: json.dumps({"id": line, "question": text}).encode() for line, text in enumerate(puzzles, 1)}
    file.write_bytes(b"\n".join(({**lines, **BAD, 7: b""}).values()) + b"\n")
    return {line: Question(text) for line, text in enumerate(puzzles, 1) if line not in BAD and line != 7}


@pytest.mark.slow
def test_a_killed_run_goes_on_and_answers_as_one_engine_does(
    tmp_path: Path, own_home: Path, short_folder: str
) -> None:
    python = own_python("ray", PINS)
    good = write_rows(tmp_path / "rows.jsonl")
    answers = tmp_path / "answers.jsonl"
    told = command(python, tmp_path / "rows.jsonl", answers, "--bundle", DEMO_FOLDER, "--workers", 2)
    around = surroundings(own_home, short_folder)
    with subprocess.Popen(told, env=around, stderr=subprocess.DEVNULL) as running:
        wait_for(lambda: answers.exists() and answers.stat().st_size > 0)
        running.kill()
    wait_for(lambda: not of_this_run(python))  # Ray's processes end with the one that started them
    before = answers.read_bytes()
    assert 0 < before.count(b"\n") < ROWS - 1
    answers.write_bytes(before + b'{"line": 12')
    done = subprocess.run(told, capture_output=True, text=True, check=False, env=around, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ROWS - 1:,} rows: {ROWS - 7:,} answered, 6 without an answer (their lines say why)\n"
    assert answers.read_bytes().startswith(before), "what was there was not asked again"
    rows = {row["line"]: row for row in map(json.loads, answers.read_text(encoding="utf-8").splitlines())}
    assert list(rows) == [line for line in range(1, ROWS + 1) if line != 7]
    assert {line for line, row in rows.items() if "error" in row} == set(BAD)
    assert rows[200]["id"] == "empty"
    assert rows[390]["error"]["kind"] == "question-too-long"
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        expected = engine.ask_many(list(good.values()))
    for line, answer in zip(good, expected, strict=True):
        assert (rows[line]["id"], rows[line]["letter"]) == (line, answer.letter)
        assert rows[line]["letter_logits"] == pytest.approx(dict(answer.letter_logits), abs=1e-4)


def wait_for(condition: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def of_this_run(python: Path) -> list[str]:
    """Return what runs from the environment's folder."""
    if not Path("/proc").is_dir():
        return []
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(python.parent.parent) in program:
            found.append(program)
    return found


def refusal(home: Path, *arguments: object) -> str:
    """Return what the script says before it needs Ray, which is not here."""
    told = command(sys.executable, *arguments)
    done = subprocess.run(told, capture_output=True, text=True, check=False, env=surroundings(home), timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_another_run_is_not_gone_on_with(tmp_path: Path, own_home: Path, tiny_bundle: Path) -> None:
    rows, answers = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    rows.write_text('{"question": "Why?"}\n')
    answers.write_text("mine\n")
    given = (rows, answers, "--bundle")
    assert "exists, and was not written by this script" in refusal(own_home, *given, tiny_bundle)
    about = {"questions_sha256": "x", "manifest_sha256": "y"}
    (tmp_path / "answers.jsonl.run.json").write_text(json.dumps(about))
    assert "was begun with other questions or another bundle" in refusal(own_home, *given, tiny_bundle)
    assert answers.read_text() == "mine\n"
    rows.write_bytes(gzip.compress(b'{"question": "Why?"}\n'))
    assert "is packed or a list, expected a row of JSON a line" in refusal(own_home, *given, tiny_bundle)
    assert "There is no bundle" in refusal(own_home, *given, tmp_path / "nothing")


def test_what_is_finished_asks_nothing(tmp_path: Path, own_home: Path, tiny_bundle: Path) -> None:
    """Ray, which is not here, is not started then."""
    rows, answers = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    rows.write_text("\n\n")
    assert "has no rows, expected a row of JSON a line" in refusal(
        own_home, rows, answers, "--bundle", tiny_bundle
    )
    rows.write_text('{"question": "Why?"}\n')
    with Engine.load(tiny_bundle) as engine:
        sha256 = engine.manifest.sha256
    about = {"questions_sha256": hashlib.sha256(rows.read_bytes()).hexdigest(), "manifest_sha256": sha256}
    (tmp_path / "answers.jsonl.run.json").write_text(json.dumps(about))
    answers.write_text('{"line": 1, "letter": "A"}\n')
    told = command(sys.executable, rows, answers, "--bundle", tiny_bundle)
    done = subprocess.run(told, capture_output=True, text=True, check=True, env=surroundings(own_home), timeout=60)
    assert done.stdout == "1 rows: 1 answered, 0 without an answer (their lines say why)\n"


def test_without_ray_it_says_so(tmp_path: Path, own_home: Path, tiny_bundle: Path) -> None:
    if importlib.util.find_spec("ray"):
        pytest.skip("ray is installed here")
    (tmp_path / "rows.jsonl").write_text('{"question": "Why?"}\n')
    said = refusal(own_home, tmp_path / "rows.jsonl", tmp_path / "answers.jsonl", "--bundle", tiny_bundle)
    assert said == 'error: ray is not installed. Run: pip install "ray[data]"\n'


@pytest.mark.parametrize("part", [1, 3, 100])
@pytest.mark.parametrize("done", [0, 1, 4, 5])
def test_parts_hold_each_row_that_is_left_once(tmp_path: Path, part: int, done: int) -> None:
    content = b"\xef\xbb\xbf{1}\n\n  \n{2}\r\n{3}\n\n{4}\n\n{5}"
    (tmp_path / "rows.jsonl").write_bytes(content)
    script = runpy.run_path(str(SCRIPT))
    parts_of, rows_of, place = script["parts_of"], script["rows_of"], script["Place"]
    parts_of.__globals__["PART"] = part
    parts = [place(**one) for one in parts_of(tmp_path / "rows.jsonl", done)]
    rows = [row for one in parts for row in rows_of(str(tmp_path / "rows.jsonl"), one)]
    assert [line for line, _ in rows] == [1, 4, 5, 7, 9][done:]
    assert [script["text_of"](text).strip() for _, text in rows] == ["{1}", "{2}", "{3}", "{4}", "{5}"][done:]
    assert len(parts) == -(-(5 - done) // part)


def test_reports_of_use_are_off() -> None:
    """Ray would report that it runs; the script says so to it before it is imported."""
    text = SCRIPT.read_text(encoding="utf-8")
    assert text.index('os.environ["RAY_USAGE_STATS_ENABLED"] = "0"') < text.index("    import ray\n")
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
