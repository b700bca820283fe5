"""A tiny random model that writes text, exported once for all tests that ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import rim_export
from rim_export.questions import CERTIFICATE_SET
from rim_export.settings import AnswerForm
from rim_runtime import Precision

from tests.conversions import shared_conversions
from tests.export.families import FAMILIES


@dataclass(frozen=True)
class TextBundle:
    """A bundle in fp32, and transformers' model and tokenizer of its checkpoint."""

    path: Path
    model: Any
    tokenizer: Any


@cache
def _exported(parent: Path) -> TextBundle:
    tiny = FAMILIES["qwen2"].build(parent / "checkpoint")
    few = parent / "few.jsonl"
    lines = CERTIFICATE_SET.read_text(encoding="utf-8").splitlines(keepends=True)
    few.write_text("".join(lines[:48]), encoding="utf-8")
    options = rim_export.ExportOptions(
        precision=Precision.FP32, max_flips=1.0, certify=few, answers=AnswerForm.TEXT
    )
    with shared_conversions():
        bundle = rim_export.export(tiny.path, parent / "writer", options).bundle
    return TextBundle(bundle, tiny.model, tiny.tokenizer)


@pytest.fixture(scope="session")
def text_bundle(tmp_path_factory: pytest.TempPathFactory) -> TextBundle:
    """The bundle; tests that alter it take a copy."""
    folder = tmp_path_factory.getbasetemp() / "text-bundle"
    folder.mkdir(exist_ok=True)
    return _exported(folder)
