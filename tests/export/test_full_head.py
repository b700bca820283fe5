"""Every precision with the whole vocabulary in its head, which may or may not be the embedding table too."""

from __future__ import annotations

import json
from pathlib import Path

import onnx_ir as ir
import pytest
import rim_export
from rim_runtime.bundle.manifest import Head, Precision

from tests.export.conftest import TinyCheckpoint

FARTHEST = {Precision.INT4: 1.7, Precision.NVFP4: 1.7, Precision.FP8: 0.7, Precision.INT8: 0.3}
"""Mean error of a letter's logit, of random weights whose letters are 5 or more apart."""


@pytest.fixture(scope="module")
def few_questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few and short: what is tested is that a variant can be written, asked and read."""
    file = tmp_path_factory.mktemp("questions") / "few.jsonl"
    rows = [{"question": f"Is {number} odd?", "options": ["yes", "no"]} for number in range(36)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("head", ["tied", "untied"])
def test_every_precision(
    head: str,
    precision: Precision,
    tied_checkpoint: TinyCheckpoint,
    untied_checkpoint: TinyCheckpoint,
    few_questions: Path,
    tmp_path: Path,
) -> None:
    checkpoint = tied_checkpoint if head == "tied" else untied_checkpoint
    options = rim_export.ExportOptions(
        precision=precision, head=Head.FULL, max_flips=1.0, certify=few_questions, max_length=256
    )
    report = rim_export.export(checkpoint.path, tmp_path / "bundle", options)
    for variant, compared in zip(report.manifest.variants, report.certificate.variants, strict=True):
        graph = ir.load(report.bundle / variant.graph).graph
        (output,) = graph.outputs
        assert (output.name, output.dtype) == ("logits", ir.DataType.FLOAT)
        assert output.shape is not None
        assert output.shape[-1] == len(checkpoint.tokenizer)
        assert compared.mean_logit_error <= FARTHEST.get(variant.precision, 0.1), variant.name
