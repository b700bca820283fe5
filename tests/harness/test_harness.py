"""A bundle in lm-evaluation-harness itself, in an environment of its own: it answers as in `rim-edge eval`."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rim_runtime import Engine, Question

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.harness.environment import harness_python
from tests.places import DEMO_FOLDER, REPOSITORY
from tests.text_bundle import TextBundle
from tests.text_bundle import text_bundle as text_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness_python(tmp_path_factory.mktemp("harness"))


def call(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the harness in a folder."""
    command = [str(python), "-m", "rim_edge.harness", "--model", "rim-edge", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=folder, env=alone(folder)
    )


def alone(folder: Path) -> dict[str, str]:
    """Return an environment with this checkout, no hub, and a cache in a folder."""
    paths = os.pathsep.join(str(REPOSITORY / part) for part in ("", "export", "runtime"))
    return {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}


def test_the_same_rows_give_the_same_letters_as_eval(python: Path, tmp_path: Path) -> None:
    rows = [puzzle.row() for puzzle in fresh_puzzles(40, 5)]
    rows += [
        {"question": f"Which one is {number}?", "options": ["red", "green", "blue"], "answer": "ABC"[number % 3]}
        for number in range(12)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bundle = f"bundle={DEMO_FOLDER},engine=ort-cpu,blocks=3"
    where = (
        "--tasks",
        "rim_rows",
        "--metadata",
        '{"rows": "rows.jsonl"}',
        "--output_path",
        "out",
        "--log_samples",
    )
    done = call(python, tmp_path, "--model_args", bundle, *where)
    assert done.returncode == 0, done.stderr
    (results,) = (tmp_path / "out").rglob("results_*.json")
    (samples,) = (tmp_path / "out").rglob("samples_*.jsonl")
    command = [sys.executable, "-m", "rim_edge", "eval", "rows.jsonl", "--engine", "ort-cpu", "--blocks", "3"]
    command += ["--bundle", str(DEMO_FOLDER), "--save", "saved.jsonl", "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=tmp_path).stdout)
    assert json.loads(results.read_text())["results"]["rim_rows"]["acc,none"] == told["by_blocks"]["3"]["accuracy"]
    ours = {
        row["question"]: row["given"]["3"]
        for row in map(json.loads, (tmp_path / "saved.jsonl").read_text().splitlines())
    }
    theirs = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    assert len(theirs) == told["n"] == 52
    for sample in theirs:
        letters, given = sample["doc"]["letters"], ours[sample["doc"]["question"]]
        logs = [float(one[0]) for one in sample["filtered_resps"]]
        assert letters[max(range(len(logs)), key=logs.__getitem__)] == given["answer"]
        shares = dict(zip(letters, map(math.exp, logs), strict=True))
        assert shares == pytest.approx(given["probabilities"], abs=1e-4), "in batches of another size"


REQUESTS = """
import json, sys
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from rim_runtime.errors import RimError
import rim_edge.harness.model

def told(work):
    try:
        return work()
    except RimError as error:
        return str(error)

def asked(kind, *arguments):
    return [Instance(kind, {}, one, 0) for one in arguments]

pairs = [("Question: Does it help? ", "yes"), ("Question: Does it help?", " no"), ("Hilft β\u2011日本?", " ja")]
common = {"bundle": sys.argv[1], "engine": "ort-cpu"}
letters = get_model("rim-edge").create_from_arg_obj(common, {"batch_size": 1, "device": None})
text = get_model("rim-edge").create_from_arg_obj({**common, "readout": "text"})
demo = get_model("rim-edge").create_from_arg_obj({**common, "bundle": sys.argv[2]})
print(json.dumps({
    "cloze": told(lambda: letters.loglikelihood(asked("loglikelihood", *pairs))),
    "text": text.loglikelihood(asked("loglikelihood", *pairs)),
    "rolling": text.loglikelihood_rolling(asked("loglikelihood_rolling", ("Where is it?",))),
    "rolling letters": told(lambda: letters.loglikelihood_rolling(asked("loglikelihood_rolling", ("Why?",)))),
    "texts": letters.generate_until(asked("generate_until", ("Where?", {"until": ["\\n"], "max_gen_toks": 5}))),
    "arguments": told(lambda: letters.generate_until(asked("generate_until", ("Where?", {"num_beams": 2})))),
    "no text": told(lambda: demo.generate_until(asked("generate_until", ("Where?", {})))),
    "template": told(lambda: letters.chat_template(True)),
    "misspelt": told(lambda: get_model("rim-edge").create_from_arg_obj({"bundel": "x"})),
    "value": told(lambda: get_model("rim-edge").create_from_arg_obj({"readout": "words"})),
}))
"""


def test_what_is_honoured_and_what_is_refused(python: Path, text_bundle: TextBundle, tmp_path: Path) -> None:
    command = [str(python), "-c", REQUESTS, str(text_bundle.path), str(DEMO_FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, env=alone(tmp_path), timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    with Engine.load(text_bundle.path, engine="ort-cpu") as engine:
        contexts = ("Question: Does it help?", "Question: Does it help?", "Hilft β\u2011日本?")
        for context, choice, (log, _) in zip(contexts, (" yes", " no", " ja"), told["text"], strict=True):
            tokens = engine.score(context + choice)
            behind = tokens[len(engine.score(context)) :]
            assert "".join(one.text for one in behind) == choice
            assert log == pytest.approx(sum(one.logprob for one in behind), abs=1e-4)
        whole = sum(one.logprob for one in engine.score("Where is it?")[1:])
        assert told["rolling"] == [pytest.approx(whole, abs=1e-4)]
        written = engine.generate(Question("Where?", ()), max_tokens=5, stop=["\n"]).result().text
        assert told["texts"] == [written]
    assert "how likely 'yes' is, and this bundle reads letters (A to J)" in told["cloze"]
    assert "--model_args readout=text" in told["cloze"]
    assert "how likely whole texts are" in told["rolling letters"]
    assert "sets num_beams of its texts" in told["arguments"]
    assert "answers with letters alone" in told["no text"]
    assert "a bundle applies its own template" in told["template"]
    assert "--model_args has bundel, expected bundle, engine" in told["misspelt"]
    assert "readout is 'words', expected one of: letters, text." in told["value"]
