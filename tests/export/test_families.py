"""Every family goes through the one path: fp32 equals transformers' own forward, and narrow variants answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rim_export
from rim_export.questions import CERTIFICATE_SET
from rim_runtime import Engine, Question
from rim_runtime.bundle.manifest import Precision

from tests.export.conftest import TinyCheckpoint
from tests.export.families import FAMILIES
from tests.export.test_parity import card_logits, logits_of

ANY_FLIPS = 1.0


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few questions, and enough of them for golden ones."""
    lines = CERTIFICATE_SET.read_text(encoding="utf-8").splitlines(keepends=True)
    file = tmp_path_factory.mktemp("questions") / "few.jsonl"
    file.write_text("".join(lines[:48]), encoding="utf-8")
    return file


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyCheckpoint]:
    """A tiny checkpoint of each family."""
    yield FAMILIES[request.param].build(tmp_path_factory.mktemp("family") / request.param.replace(" ", "-"))


def options(precision: Precision, few: Path, *, trace: bool = False) -> rim_export.ExportOptions:
    return rim_export.ExportOptions(precision=precision, max_flips=ANY_FLIPS, certify=few, trace=trace)


@pytest.mark.slow
def test_fp32_equals_transformers(family: TinyCheckpoint, few: Path, tmp_path: Path, questions: list[str]) -> None:
    report = rim_export.export(family.path, tmp_path / "bundle", options(Precision.FP32, few, trace=True))
    (certified,) = report.certificate.variants
    assert certified.max_logit_error is not None
    assert certified.max_logit_error < 1e-3, "the reference is transformers' own forward too"
    asked = questions[:6]
    with Engine.load(report.bundle) as engine:
        for blocks in (0, 4, 8):
            expected = np.stack([card_logits(family, question, blocks) for question in asked])
            assert expected.std() > 0.5, "flat logits would prove nothing"
            found = logits_of(engine.ask_many([Question(text) for text in asked], blocks=blocks))
            np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)
        traced = engine.trace(asked[0])
        each = [engine.ask(asked[0], blocks=blocks) for blocks in range(9)]
    assert traced.letters == tuple(answer.letter for answer in each)
    np.testing.assert_allclose(logits_of(list(traced.answers)), logits_of(each), atol=1e-4, rtol=0)


PAIRS = (
    ("gpt2", Precision.INT8),
    ("gpt2", Precision.BF16),
    ("llama with biases", Precision.FP16),
    ("llama3", Precision.INT8),
    ("mistral", Precision.FP8),
    ("olmo2", Precision.INT4),
    ("phi3", Precision.INT4),
    ("phi3", Precision.BF16),
    ("qwen2", Precision.FP8),
    ("smollm3", Precision.INT8),
)
"""Each narrow precision with two families, those with operators of their own twice; the rest was run by hand."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_narrow_variants_answer(name: str, precision: Precision, few: Path, tmp_path: Path) -> None:
    checkpoint = FAMILIES[name].build(tmp_path / "checkpoint")
    report = rim_export.export(checkpoint.path, tmp_path / "bundle", options(precision, few))
    wanted = [one for one in report.certificate.variants if one.variant.startswith(precision.value)]
    assert wanted
    assert all(one.mean_logit_error is not None and 0 < one.mean_logit_error < 1 for one in wanted)
    with Engine.load(report.bundle) as engine:
        assert engine.ask("Which one?\nA: this\nB: that").letter in ("A", "B")
