"""A bundle in lm-evaluation-harness itself, in an environment of its own: it answers as in `rim-edge eval`."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rim_runtime import Engine

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.harness.environment import harness_python
from tests.places import DEMO_FOLDER, REPOSITORY
from tests.text_bundle import TextBundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness_python(tmp_path_factory.mktemp("harness"))


def call(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the harness in a folder, with no hub and no home of ours."""
    paths = os.pathsep.join(str(REPOSITORY / part) for part in ("", "export", "runtime"))
    environment = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    command = [str(python), "-m", "rim_edge.harness", "--model", "rim-edge", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=folder, env=environment
    )


def test_the_same_rows_give_the_same_letters_as_eval(python: Path, tmp_path: Path) -> None:
    rows = [puzzle.row() for puzzle in fresh_puzzles(40, 5)]
    rows += [
        {"question": f"Which one is {number}?", "options": ["red", "green", "blue"], "answer": "ABC"[number % 3]}
        for number in range(12)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bundle = f"bundle={DEMO_FOLDER},engine=ort-cpu,blocks=3"
    where = ("--tasks", "rim_rows", "--metadata", '{"rows": "rows.jsonl"}', "--output_path", "out", "--log_samples")
    done = call(python, tmp_path, "--model_args", bundle, *where)
    assert done.returncode == 0, done.stderr
    (results,) = (tmp_path / "out").rglob("results_*.json")
    (samples,) = (tmp_path / "out").rglob("samples_*.jsonl")
    command = [sys.executable, "-m", "rim_edge", "eval", "rows.jsonl", "--engine", "ort-cpu", "--blocks", "3"]
    command += ["--bundle", str(DEMO_FOLDER), "--save", "saved.jsonl", "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=tmp_path).stdout)
    assert json.loads(results.read_text())["results"]["rim_rows"]["acc,none"] == told["by_blocks"]["3"]["accuracy"]
    ours = {row["question"]: row["given"]["3"] for row in map(json.loads, (tmp_path / "saved.jsonl").read_text().splitlines())}
    theirs = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    assert len(theirs) == told["n"] == 52
    for sample in theirs:
        letters, given = sample["doc"]["letters"], ours[sample["doc"]["question"]]
        logs = [float(one[0]) for one in sample["filtered_resps"]]
        assert letters[max(range(len(logs)), key=logs.__getitem__)] == given["answer"]
        shares = dict(zip(letters, map(math.exp, logs), strict=True))
        assert shares == pytest.approx(given["probabilities"], abs=1e-4), "in batches of another size"


CLOZE = """
task: cloze
dataset_path: json
dataset_kwargs: {data_files: {test: cloze.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "Abstract: {{question}}\\nAnswer:"
doc_to_choice: ["yes", "no", "maybe"]
doc_to_target: answer
metric_list: [{metric: acc}]
"""


def test_choices_that_are_no_letters(python: Path, text_bundle: TextBundle, tmp_path: Path) -> None:
    (tmp_path / "cloze.yaml").write_text(CLOZE)
    questions = [f"Does number {number} help?" for number in range(3)]
    rows = [{"question": question, "answer": "yes"} for question in questions]
    (tmp_path / "cloze.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--tasks", "cloze", "--include_path", ".", "--output_path", "out", "--log_samples")
    refused = call(python, tmp_path, "--model_args", f"bundle={text_bundle.path},engine=ort-cpu", *options)
    assert refused.returncode == 2
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("error: The task asks how likely ' yes' is, and this bundle reads letters")
    scored = call(
        python, tmp_path, "--model_args", f"bundle={text_bundle.path},engine=ort-cpu,readout=text", *options
    )
    assert scored.returncode == 0, scored.stderr
    (samples,) = (tmp_path / "out").rglob("samples_*.jsonl")
    with Engine.load(text_bundle.path, engine="ort-cpu") as engine:
        for line in samples.read_text(encoding="utf-8").splitlines():
            sample = json.loads(line)
            context = f"Abstract: {sample['doc']['question']}\nAnswer:"
            before = len(engine.score(context))
            for choice, told in zip(("yes", "no", "maybe"), sample["filtered_resps"], strict=True):
                tokens = engine.score(f"{context} {choice}")[before:]
                assert float(told[0]) == pytest.approx(sum(one.logprob for one in tokens), abs=1e-4)
