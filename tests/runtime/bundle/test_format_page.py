"""docs/bundle-format.md is enough: a runtime that was written from it alone agrees with the test vectors.

It reads options as lists and in the models' own form, as the page allows. Nothing of rim_runtime answers here.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from tokenizers import Tokenizer

from rim_edge.cli import main
from tests.places import DEMO_FOLDER

WHITE = "".join(map(chr, [*range(0x09, 0x0E), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)]))
WHITE += "\u2028\u2029\u202f\u205f\u3000"


class RefusedError(Exception):
    """Its first argument is the kind."""


class Runtime:
    """What the page describes, section by section."""

    def __init__(self, folder: Path) -> None:
        body = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        assert body["schema_version"] == 1
        self.stated = body.pop("manifest_sha256")
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(canonical.encode()).hexdigest() == self.stated
        self.manifest, self.folder = body, folder
        variant = body["variants"][0]
        self.tokenizer = Tokenizer.from_buffer(self.read("tokenizer.json"))
        library = import_onnxruntime()
        options = library.SessionOptions()
        self.weights = self.read(variant["data"])
        options.add_external_initializers_from_files_in_memory(
            [variant["data"]], [self.weights], [len(self.weights)]
        )
        self.session = library.InferenceSession(self.read(variant["graph"]), options)

    def read(self, name: str) -> bytes:
        content = (self.folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == self.manifest["files"][name]["sha256"]
        return content

    def ask(self, question: str, choices: list[str] | None, blocks: int | None) -> dict[str, Any]:
        prompt, letters = self.manifest["prompt"], list(self.manifest["letters"])
        count = prompt["blocks"] if blocks is None else blocks
        if not 0 <= count <= prompt["blocks"]:
            raise RefusedError("question")
        text = rendered(question, choices)
        segment = prompt["question_open"] + (text.strip(WHITE) if prompt["strip"] else text)
        segment += prompt["question_close"]
        ids = self.tokenizer.encode(segment, add_special_tokens=False).ids
        if len(ids) > self.manifest["limits"]["question_tokens"]:
            raise RefusedError("question-too-long")
        offered = own_form(question) if choices is None else dict(zip(letters, choices, strict=False))
        feed = {"question_ids": [ids], "question_length": [len(ids)], "blocks": [count]}
        given = {name: np.array(value, np.int64) for name, value in feed.items()}
        logits = dict(zip(letters, self.session.run(["letter_logits"], given)[0][0].tolist(), strict=True))
        among = {letter: logits[letter] for letter in offered or letters}
        top = max(among.values())
        total = sum(math.exp(value - top) for value in among.values())
        best = next(letter for letter, value in among.items() if value == top)
        return {
            "rendered": text,
            "segment": segment,
            "question_ids": ids,
            "question_length": len(ids),
            "offered": offered,
            "letter_logits": list(logits.values()),
            "probabilities": {letter: math.exp(value - top) / total for letter, value in among.items()},
            "letter": best,
            "choice": offered.get(best),
        }


def rendered(question: str, choices: list[str] | None) -> str:
    text = question.strip(WHITE)
    if not text:
        raise RefusedError("question")
    if not choices:
        return text
    stripped = [choice.strip(WHITE) for choice in choices]
    if not 2 <= len(choices) <= 10 or not all(stripped) or any(set("\r\n") & set(one) for one in stripped):
        raise RefusedError("question")
    if {one.casefold() for one in own_form(text).values()} & {one.casefold() for one in stripped}:
        raise RefusedError("question")
    return "\n".join([text, *(f"{letter}: {one}" for letter, one in zip("ABCDEFGHIJ", stripped, strict=False))])


def own_form(question: str) -> dict[str, str]:
    lines = question.rstrip(WHITE).split("\n")
    count = "ABCDEFGHIJ".find(lines[-1][0]) + 1 if lines[-1][1:2] == ":" else 0
    run = dict(zip("ABCDEFGHIJ", lines[-count:], strict=False))
    if not 2 <= count <= len(lines) or not all(line.startswith(f"{letter}: ") for letter, line in run.items()):
        return {}
    return {letter: line[3:].strip(WHITE) for letter, line in run.items()}


def centred(logits: list[float]) -> np.ndarray[Any, Any]:
    return np.array(logits) - np.mean(logits)


@pytest.fixture
def vectors(tmp_path: Path) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["bundle", "vectors", str(DEMO_FOLDER), str(tmp_path / "vectors.json")])
    assert not ended.value.code
    made: dict[str, Any] = json.loads((tmp_path / "vectors.json").read_text(encoding="ascii"))
    return made


def test_a_runtime_from_the_page_agrees(vectors: dict[str, Any]) -> None:
    runtime = Runtime(DEMO_FOLDER)
    assert vectors["manifest_sha256"] == runtime.stated
    cases = [one for one in vectors["cases"] if one["options_from"] != "other"]
    assert len(cases) > 45
    for one in cases:
        found = runtime.ask(one["question"], one["choices"], one["blocks"])
        for exact in ("rendered", "segment", "question_ids", "question_length", "offered"):
            assert found[exact] == one[exact], one["name"]
        assert (
            np.abs(centred(found["letter_logits"]) - centred(one["letter_logits"])).max()
            <= vectors["tolerance"]["logit"]
        )
        assert found["probabilities"] == pytest.approx(
            one["probabilities"], abs=vectors["tolerance"]["probability"]
        )
        if not one["near"]:
            assert (found["letter"], found["choice"]) == (one["letter"], one["choice"]), one["name"]
    refused = [
        one for one in vectors["refusals"] if one["choices"] is not None or "\n" not in one["question"].strip()
    ]
    told = 0
    for one in refused:
        if one["name"] == "numbers on the question's line":  # a form that this runtime does not read
            continue
        with pytest.raises(RefusedError) as error:
            runtime.ask(one["question"], one["choices"], one["blocks"])
        assert error.value.args == (one["kind"],), one["name"]
        told += 1
    assert told >= 10
