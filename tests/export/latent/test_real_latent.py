"""Latent steps of a real pretrained model, SmolLM2-135M-Instruct with a random head, as in transformers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import rim_export
import torch
from rim_export.questions import CERTIFICATE_SET, read_questions
from rim_export.settings import AnswerForm
from rim_runtime import Engine, Precision
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.export.conftest import TinyCheckpoint
from tests.export.latent.latent_models import LatentCheckpoint, qthink_head, save_pickled
from tests.real_model import smollm2 as smollm2

pytestmark = [pytest.mark.real, pytest.mark.slow]

CERTIFIED, COMPARED, TOKENS = 12, 8, 12


@pytest.fixture(scope="module")
def checkpoint(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> LatentCheckpoint:
    """Its files by hard links, and a head beside them."""
    folder = Path(shutil.copytree(smollm2, tmp_path_factory.mktemp("real") / "smollm2", copy_function=os.link))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    head = qthink_head(model.config.hidden_size)
    save_pickled(head, folder / "projection_head.pt")
    return LatentCheckpoint(TinyCheckpoint(folder, model, AutoTokenizer.from_pretrained(folder)), head)


def test_the_text_is_that_of_the_cards_loop(checkpoint: LatentCheckpoint, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    lines = CERTIFICATE_SET.read_text(encoding="utf-8").splitlines(keepends=True)
    few.write_text("".join(lines[:CERTIFIED]), encoding="utf-8")
    options = rim_export.ExportOptions(precision=Precision.FP32, certify=few, answers=AnswerForm.TEXT)
    report = rim_export.export(checkpoint.tiny.path, tmp_path / "bundle", options)
    assert [one.changed for one in report.certificate.text] == [0]
    with Engine.load(report.bundle) as engine:
        for row in read_questions(CERTIFICATE_SET).asked[-COMPARED:]:
            text = engine.generate(row.text, max_tokens=TOKENS).result()
            assert list(text.tokens) == checkpoint.write(row.text, TOKENS)
