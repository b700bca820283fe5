"""examples/node: the same answers without Python, and the same refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

from tests.javascript.conftest import PUZZLES
from tests.places import DEMO_FOLDER

pytestmark = pytest.mark.slow
QUESTION, CHOICES = "Which vitamin prevents scurvy?", ["Vitamin A", "Vitamin C"]
Ask = Callable[..., Any]


@pytest.fixture
def ask(examples: Callable[[str], Path]) -> Ask:
    folder = examples("node")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["node", "ask.mjs", *map(str, arguments)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)

    return run


def test_all_vectors_agree(ask: Ask, vectors: Path) -> None:
    done = ask(DEMO_FOLDER, "--vectors", vectors, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["cases"] > PUZZLES + 50
    assert (found["letters"], found["faults"]) == (found["cases"], [])
    assert found["refusals"] >= 20
    assert found["logit"] <= found["tolerance"]["logit"]


@pytest.mark.parametrize("wrong", ["question_ids", "rendered", "offered", "letter", "letter_logits", "refusal"])
def test_vectors_that_do_not_agree_are_told(ask: Ask, vectors: Path, tmp_path: Path, wrong: str) -> None:
    body = json.loads(vectors.read_text())
    one = next(case for case in body["cases"] if case["offered"])
    body["cases"], body["refusals"] = [one], []
    match wrong:
        case "question_ids":
            one["question_ids"][-1] += 1
        case "rendered":
            one["rendered"] += " "
        case "offered":
            one["offered"]["A"] += "x"
        case "letter":
            one["letter"] = next(letter for letter in one["offered"] if letter != one["letter"])
        case "letter_logits":
            one["letter_logits"][0] += 2 * body["tolerance"]["logit"]
        case "refusal":
            body["refusals"] = [{"name": "a good question", "question": "Why?", "choices": None, "blocks": None}]
            body["refusals"][0]["kind"] = "question"
    (tmp_path / "wrong.json").write_text(json.dumps(body))
    done = ask(DEMO_FOLDER, "--vectors", tmp_path / "wrong.json")
    assert done.returncode == 3, done.stderr
    assert "fault: " in done.stdout


def test_vectors_of_another_bundle_are_refused(ask: Ask, vectors: Path, tmp_path: Path) -> None:
    for key, value in (("manifest_sha256", "0" * 64), ("variant", "fp32"), ("schema_version", 2)):
        (tmp_path / "other.json").write_text(json.dumps(json.loads(vectors.read_text()) | {key: value}))
        done = ask(DEMO_FOLDER, "--vectors", tmp_path / "other.json")
        assert (done.returncode, done.stdout) == (2, "")
        assert "Make vectors of this one" in done.stderr


def test_a_question_from_the_command_line(ask: Ask) -> None:
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        answer = engine.ask(QUESTION, CHOICES, blocks=2)
    options = [word for choice in CHOICES for word in ("-c", choice)]
    found = json.loads(ask(DEMO_FOLDER, QUESTION, *options, "--blocks", 2, "--json").stdout)
    assert (found["letter"], found["choice"], found["blocks"]) == (answer.letter, answer.choice, 2)
    assert found["probabilities"] == pytest.approx(dict(answer.probabilities), abs=0.02)
    said = ask(DEMO_FOLDER, QUESTION, *options).stdout.splitlines()
    assert said[0] in ("A: Vitamin A", "B: Vitamin C")
    assert [line.split()[0] for line in said[1:3]] == ["A", "B"]


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("model.int8.onnx.data", "model.int8.onnx.data was altered"),
        ("model.int8.onnx", "model.int8.onnx was altered"),
        ("tokenizer.json", "tokenizer.json was altered"),
        ("manifest.json", "manifest.json was altered"),
    ],
)
def test_altered_files_are_refused(ask: Ask, tmp_path: Path, file: str, says: str) -> None:
    shutil.copytree(DEMO_FOLDER, tmp_path / "bundle")
    content = bytearray((tmp_path / "bundle" / file).read_bytes())
    place = content.index(b"demo") if file == "manifest.json" else len(content) // 2
    content[place] ^= 1
    (tmp_path / "bundle" / file).write_bytes(content)
    done = ask(tmp_path / "bundle", QUESTION)
    assert done.returncode == 3
    assert says in done.stderr


def test_wrong_use_is_said(ask: Ask, tmp_path: Path) -> None:
    for arguments, code, says in (
        ((), 2, "usage: node ask.mjs BUNDLE"),
        ((tmp_path, QUESTION), 2, "Expected the folder of a bundle"),
        ((DEMO_FOLDER, QUESTION, "-c", "one"), 2, "The number of choices is 1, expected 2 to 10."),
        ((DEMO_FOLDER, QUESTION, "--blocks", 5), 2, "Got 5 blocks, expected a whole number from 0 to 4."),
        ((DEMO_FOLDER, QUESTION, "--precision", "fp8"), 2, "The bundle has no fp8 variant"),
        ((DEMO_FOLDER, "--vectors", tmp_path / "none.json"), 2, "cannot be read as vectors"),
    ):
        done = ask(*arguments)
        assert (done.returncode, done.stdout) == (code, ""), arguments
        assert says in done.stderr


def test_digits_of_all_scripts_are_digits(examples: Callable[[str], Path], tmp_path: Path) -> None:
    """The package knows 0 to 9 alone in this step; SmolLM2's tokenizer has it."""
    vocabulary = {token: place for place, token in enumerate([*sorted(ByteLevel.alphabet()), "ĠĠ"])}
    tokenizer = Tokenizer(BPE(vocabulary, [("Ġ", "Ġ")]))
    tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    text = "a  ٣  ½  5"
    assert len(tokenizer.encode(text).ids) == 9, "two spaces before a digit are one token"
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    script = (
        'import { readFileSync } from "node:fs"; import { Tokenizer } from "@huggingface/tokenizers";'
        'import { makeEncoder } from "../javascript/tokenizer.js";'
        "const json = JSON.parse(readFileSync(process.argv[1]));"
        "console.log(JSON.stringify(makeEncoder(json, Tokenizer, 99)(process.argv[2])));"
    )
    command = ["node", "--input-type=module", "-e", script, str(tmp_path / "tokenizer.json"), text]
    done = subprocess.run(command, cwd=examples("node"), capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == tokenizer.encode(text, add_special_tokens=False).ids
