"""Texts and questions as token ids, the same for everybody."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cpu_parts.questions import encoder_of, prompt_of
from harness.rounds import TARGET_LENGTH
from real_parts.setting import Setting
from rim_export.questions import CALIBRATION_SET, CERTIFICATE_SET, LabelledQuestion, read_questions
from rim_runtime import Bundle, PromptEncoder
from tokenizers import Tokenizer

CALIBRATED = 32
"""Questions that NNCF is calibrated on: of the set that ships, on which our fp8 and int4 are."""


def texts(setting: Setting) -> list[list[int]]:
    """Return whole questions with their solutions as token ids, as many as make `setting.tokens`."""
    tokenizer = Tokenizer.from_file(str(setting.rim_checkpoint / "tokenizer.json"))
    found: list[list[int]] = []
    for row in rows_of(setting.text):
        if sum(map(len, found)) >= setting.tokens:
            return found
        text = "\n".join(row[key] for key in ("question", "answer"))
        found.append(tokenizer.encode(text, add_special_tokens=False).ids)
    return found


def rows_of(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, gzipped or not."""
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def medical_questions(setting: Setting) -> tuple[LabelledQuestion, ...]:
    """Return the last of the questions that ship with the exporter: the first are in the exports' certificates."""
    return read_questions(CERTIFICATE_SET).asked[-setting.questions :]


def request_of(bundle: Path, encoder: PromptEncoder, text: str, blocks: int) -> dict[str, Any]:
    """Return a question in every form that a worker may want: see workers/real."""
    prompt = encoder.compose(text, blocks)
    letters = list(Bundle.load(bundle).manifest.letters.values())
    return {
        "question": text,
        "segment": list(prompt.question),
        "ids": list(prompt.ids),
        "blocks": blocks,
        "letters": letters,
    }


def timed_request(bundle: Path) -> dict[str, Any]:
    """Return a question whose prompt has exactly TARGET_LENGTH tokens, with all blocks."""
    encoder = encoder_of(bundle)
    text = str(prompt_of(encoder, TARGET_LENGTH)["question"])
    return request_of(bundle, encoder, text, encoder.contract.blocks)


def calibration_of(setting: Setting, bundle: Path) -> dict[str, Any]:
    """Return NNCF's calibration: the feeds of both graphs, and the attention's geometry."""
    encoder = encoder_of(bundle)
    config = json.loads((setting.rim_checkpoint / "config.json").read_text())
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    asked = read_questions(CALIBRATION_SET).asked[:CALIBRATED]
    prompts = [encoder.compose(question.text) for question in asked]
    letters = [
        {
            "question_ids": [prompt.question],
            "question_length": [len(prompt.question)],
            "blocks": [encoder.contract.blocks],
        }
        for prompt in prompts
    ]
    rows = [{"question_ids": [prompt.ids]} for prompt in prompts]
    return {"heads": [heads, config["num_key_value_heads"], size], "letters": letters, "rows": rows}
