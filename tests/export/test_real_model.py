"""A real pretrained model, SmolLM2-135M-Instruct: in fp32 it answers as transformers does, int8 keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rim_export
import torch
from rim_export.checkpoint.prompt import CARD_PREFIX, letter_ids, template_ids
from rim_export.questions import CERTIFICATE_SET
from rim_export.settings import AnswerForm
from rim_runtime import Engine, Precision, Question
from rim_runtime.prompt.options import render_options
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.real_model import smollm2 as smollm2

pytestmark = [pytest.mark.real, pytest.mark.slow]

CERTIFIED = 24
"""Questions of the certificate: a short proof, as each of them takes the model half a second of one core."""
COMPARED = 16


@pytest.fixture(scope="module")
def model(smollm2: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer(smollm2: Path) -> Any:
    return AutoTokenizer.from_pretrained(smollm2)


@pytest.fixture(scope="module")
def rows() -> list[str]:
    return CERTIFICATE_SET.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def bundle(smollm2: Path, rows: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    (folder / "few.jsonl").write_text("\n".join(rows[:CERTIFIED]) + "\n", encoding="utf-8")
    options = rim_export.ExportOptions(precision=Precision.FP32, blocks=0, certify=folder / "few.jsonl")
    report = rim_export.export(smollm2, folder / "bundle", options)
    assert report.certificate.variants[0].flips == 0
    return folder / "bundle"


def test_the_converted_model_writes_sense(model: Any, tokenizer: Any) -> None:
    ids = torch.tensor([template_ids(tokenizer, "What is the capital of France?")])
    with torch.no_grad():
        written = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(written[0, ids.shape[1] :])


def test_letters_are_those_of_transformers(model: Any, tokenizer: Any, bundle: Path, rows: list[str]) -> None:
    """The engine's probabilities of letters against the model's own forward pass, on the card's prompt."""
    questions = [json.loads(line) for line in rows[-COMPARED:]]
    texts = [render_options(row["question"], list(row["options"].values())) for row in questions]
    prefix = tokenizer.encode(CARD_PREFIX, add_special_tokens=False)
    columns = list(letter_ids(tokenizer).values())
    with Engine.load(bundle) as engine:
        answers = list(engine.ask_many([Question(text) for text in texts]))
    for text, answer in zip(texts, answers, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([template_ids(tokenizer, text) + prefix])).logits[0, -1]
        offered = columns[: len(answer.probabilities)]
        expected = logits[offered].softmax(-1).numpy()
        np.testing.assert_allclose(list(answer.probabilities.values()), expected, atol=1e-3)
        assert answer.letter == "ABCDEFGHIJ"[expected.argmax()]


def test_int8_keeps_its_letters_and_its_sentence(smollm2: Path, rows: list[str], tmp_path: Path) -> None:
    """The default precision and calibration, with a decoder; of so few letters one more may change."""
    (tmp_path / "few.jsonl").write_text("\n".join(rows[: 3 * CERTIFIED]) + "\n", encoding="utf-8")
    few = tmp_path / "few.jsonl"
    options = rim_export.ExportOptions(blocks=0, certify=few, answers=AnswerForm.TEXT, max_flips=0.05)
    report = rim_export.export(smollm2, tmp_path / "bundle", options)
    (letters,), (text,) = report.certificate.variants, report.certificate.text
    assert letters.precision == Precision.INT8
    assert letters.mean_kl < 0.01
    assert text.changed <= 0.05 * text.tokens
    with Engine.load(report.bundle) as engine:
        assert "Paris" in engine.generate("What is the capital of France?").result().text
