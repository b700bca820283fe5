"""Outlier channels, as trained models have them and random ones do not: what they do to int8, and what helps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rim_export
import torch
from rim_export.errors import CertificateError
from rim_runtime import Engine, Question
from rim_runtime.manifest import Precision
from safetensors.torch import load_file, save_file

FACTOR = 2.0**10  # a power of two: exact in bf16


@pytest.fixture
def outlier_checkpoint(damaged: Path) -> Path:
    """The same function as the tied checkpoint, but one input channel of layer 1's MLP is 1,024 times larger."""
    file = damaged / "model.safetensors"
    weights = load_file(file)
    weights["model.layers.1.post_attention_layernorm.weight"][7] *= FACTOR
    for name in ("gate_proj", "up_proj"):
        weights[f"model.layers.1.mlp.{name}.weight"][:, 7] /= FACTOR
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, file, metadata={"format": "pt"})
    return damaged


def test_int8_refuses_and_names_the_layer(outlier_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"Layers that cost most, [^:]*: 1 \(\d+\.\d%\)") as caught:
        rim_export.export(outlier_checkpoint, tmp_path / "bundle", rim_export.ExportOptions())
    assert "--keep-going" in str(caught.value)
    assert not (tmp_path / "bundle").exists()


def test_keep_going_widens_that_layer_alone(
    outlier_checkpoint: Path, tmp_path: Path, real_questions: list[str]
) -> None:
    options = rim_export.ExportOptions(keep_going=True, max_flips=0.05)
    report = rim_export.export(outlier_checkpoint, tmp_path / "bundle", options)
    (variant,) = report.manifest.variants
    (certified,) = report.certificate.variants
    assert variant.wide_layers == certified.wide_layers == (1,)
    assert certified.costliest_layers[0].layer == 1
    assert certified.flip_share <= 0.05
    assert any("The layers 1 are kept in fp32" in note for note in report.notes)
    wide = rim_export.export(
        outlier_checkpoint, tmp_path / "fp32", rim_export.ExportOptions(precision=Precision.FP32)
    )
    questions = [Question(text) for text in real_questions[:60]]
    with Engine.load(report.bundle) as ours, Engine.load(wide.bundle) as theirs:
        found = [answer.letter for answer in ours.ask_many(questions)]
        expected = [answer.letter for answer in theirs.ask_many(questions)]
    assert np.mean([a == b for a, b in zip(found, expected, strict=True)]) >= 0.9


def test_the_injection_changes_no_function(outlier_checkpoint: Path, tied_checkpoint: object) -> None:
    from transformers import Qwen3ForCausalLM

    changed = Qwen3ForCausalLM.from_pretrained(outlier_checkpoint, dtype=torch.float32).eval()
    ids = torch.arange(40)[None]
    with torch.no_grad():
        ours, theirs = changed(ids).logits, tied_checkpoint.model(ids).logits  # type: ignore[attr-defined]
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
