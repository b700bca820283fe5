"""The path of somebody who trains a model of their own: make, train, score, export, score the bundle, ask it."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.places import REPOSITORY, SHARED

pytestmark = pytest.mark.usefixtures("one_conversion_a_model")


Run = Callable[..., Any]
EXAMPLES = REPOSITORY / "examples" / "training"
TOKENIZER = SHARED / "qwen3-tokenizer"
COLOURS = ("red", "blue")
RECIPE = """
trains = "lora"
[curriculum]
batch_size = 4
[[curriculum.stages]]
name = "stage 1"
objective = "steps"
steps = 20
learning_rate = 1e-2
[[curriculum.stages]]
name = "stage 2"
objective = "answer"
steps = 30
learning_rate = 1e-2
[lora]
rank = 16
[[data]]
path = "rows.jsonl"
"""


def rows(count: int) -> str:
    """Rows whose answer depends on a word."""
    return "".join(
        json.dumps(
            {
                "question": f"House {n} is {COLOURS[n % 2]}. Who lives there?",
                "options": ["a fox", "a hen"],
                "answer": "AB"[n % 2],
                "steps": [f"The house is {COLOURS[n % 2]}."],
            }
        )
        + "\n"
        for n in range(count)
    )


@pytest.mark.slow
@pytest.mark.skipif(not TOKENIZER.is_dir(), reason=f"the real tokenizer is not at {TOKENIZER}")
def test_from_a_random_model_to_a_bundle_that_answers_as_the_checkpoint_does(run: Run, tmp_path: Path) -> None:
    base, trained, bundle = tmp_path / "small", tmp_path / "rim", tmp_path / "bundle"
    runpy.run_path(str(EXAMPLES / "small_qwen3.py"))["make"](TOKENIZER, base, layers=2, width=64, seed=0)
    (tmp_path / "rows.jsonl").write_text(rows(16), encoding="utf-8")
    asked = tmp_path / "asked.jsonl"
    asked.write_text(rows(40), encoding="utf-8")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE, encoding="utf-8")

    done = run("train", "--config", str(recipe), "--model", str(base), "--output", str(trained), "--json")
    assert done.code == 0, done.err
    told = [json.loads(line) for line in (trained / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert told[-1]["nll"][-1] < told[0]["nll"][-1] / 3, "-log p of the answer, after the last block"
    done = run("export", "--model", str(trained), "--output", str(bundle), "--max-flips", "0.3", "--json")
    assert done.code == 0, done.err
    assert done.json["certificate"]["variants"][0]["variant"] == "int8"

    scores = [
        run("eval", str(asked), *source, "--blocks", "8", "--json").json["by_blocks"]["8"]["right"]
        for source in (("--model", str(trained)), ("--bundle", str(bundle)))
    ]
    assert abs(scores[0] - scores[1]) <= 2, "int8"
    answer = run(
        "ask", "House 1 is blue. Who lives there?", "-c", "a fox", "-c", "a hen", "--bundle", str(bundle), "--json"
    )
    assert answer.code == 0, answer.err
    assert answer.json["letter"] in "AB"
