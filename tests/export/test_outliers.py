"""Outlier channels, as trained models have them and random ones do not: what they do to int8, and what helps."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rim_export
import torch
from rim_export import variants
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CertificateError, UnsupportedModelError
from rim_export.measure.reference import run_reference
from rim_export.measure.smoothing import SITES
from rim_export.question_sets import CalibrationSet
from rim_export.weights.model_weights import ModelWeights, Smoothing
from rim_runtime import Engine, Question
from rim_runtime.bundle.manifest import Head, Precision
from rim_runtime.bundle.widened import widened_parts

from tests.export.conftest import TinyCheckpoint
from tests.export.families import FAMILIES


def test_int8_refuses_and_names_the_layer(outlier_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"Layers that cost most, [^:]*: 1 \(\d+\.\d%\)") as caught:
        rim_export.export(outlier_checkpoint, tmp_path / "bundle", rim_export.ExportOptions())
    assert "--keep-going" in str(caught.value)
    assert not (tmp_path / "bundle").exists()


def test_keep_going_widens_that_product_alone(
    outlier_checkpoint: Path, tmp_path: Path, questions: list[str]
) -> None:
    options = rim_export.ExportOptions(keep_going=True, max_flips=0.05)
    report = rim_export.export(outlier_checkpoint, tmp_path / "bundle", options)
    (certified,) = report.certificate.variants
    assert widened_parts(report.manifest, "int8") == certified.widened == {"layers.1.mlp.down_proj": "fp32"}
    assert certified.costliest_layers[0].layer == 1
    assert certified.clear_share <= 0.05
    assert any("(1 part): layers.1.mlp.down_proj in fp32." in note for note in report.notes)
    wide = rim_export.export(
        outlier_checkpoint, tmp_path / "fp32", rim_export.ExportOptions(precision=Precision.FP32)
    )
    asked = [Question(text) for text in questions[:60]]
    with Engine.load(report.bundle) as ours, Engine.load(wide.bundle) as theirs:
        found = [answer.letter for answer in ours.ask_many(asked)]
        expected = [answer.letter for answer in theirs.ask_many(asked)]
    assert np.mean([a == b for a, b in zip(found, expected, strict=True)]) >= 0.9


def naive_int8(name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """One scale for all of an activation, one for all of a weight: what most quantizers do."""
    del name
    ours, theirs = (max(float(tensor.abs().max()), 1e-12) / 127 for tensor in (activations, weight))
    return ((activations / ours).round() * ours) @ ((weight / theirs).round() * theirs).T


def test_naive_int8_fails_where_smoothing_holds(
    outlier_checkpoint: Path, tied_checkpoint: TinyCheckpoint, tmp_path: Path, questions: list[str]
) -> None:
    options = rim_export.ExportOptions(smooth=True, max_flips=0.1)  # random weights: many near-ties
    report = rim_export.export(outlier_checkpoint, tmp_path / "bundle", options)
    (certified,) = report.certificate.variants
    assert certified.widened == {}
    strengths = next(note for note in report.notes if note.startswith("Smoothing strengths by layer: "))
    assert float(strengths.split(": ")[1].split(", ")[1]) > 0
    cost = {layer.layer: layer.error for layer in certified.costliest_layers}
    weights = ModelWeights(Checkpoint.open(outlier_checkpoint), {"A": 32, "B": 33}, Head.LETTERS)
    prompts = [tied_checkpoint.tokenizer.encode(text) for text in questions[:8]]
    naive = run_reference(weights, prompts, [naive_int8]).layer_errors[naive_int8]
    assert naive[1] > 10 * cost[1], "the outlier is not one"
    assert cost[1] < 0.1


@pytest.mark.parametrize(
    ("strengths", "says"),
    [
        ((0.0, 0.0), "Smoothing was not used: in every layer, int8 without it errs least."),
        ((0.0, 0.5), "Smoothing strengths by layer: 0, 0.5 (0: int8 without it errs least)."),
    ],
)
def test_a_layer_that_is_better_off_without_is_explained(
    monkeypatch: pytest.MonkeyPatch, tied_checkpoint: TinyCheckpoint, strengths: tuple[float, ...], says: str
) -> None:
    monkeypatch.setattr(variants, "search_smoothing", lambda *_: Smoothing(strengths=strengths))
    weights = ModelWeights(Checkpoint.open(tied_checkpoint.path), {}, Head.LETTERS)
    options = rim_export.ExportOptions(smooth=True)
    chosen = variants.choose_recipes(weights, options, CalibrationSet("some", (), (), ()), lambda *_: None)
    assert chosen.notes[-1] == says


@torch.no_grad()
def logits_as_read(weights: ModelWeights, model: Any) -> torch.Tensor:
    """Logits of transformers' model with the weights that graphs read."""
    changed = copy.deepcopy(model)
    for name, parameter in changed.base_model.named_parameters():
        parameter.data = weights.read(f"backbone.{name}").float()
    found: torch.Tensor = changed(torch.arange(40, 60)[None]).logits
    return found


@pytest.mark.parametrize("biased", [False, True])
def test_folding_changes_no_function(tied_checkpoint: TinyCheckpoint, tmp_path: Path, biased: bool) -> None:
    """Random factors at every site, key heads shared by two query heads: the same logits, bit for bit."""
    tiny = FAMILIES["llama with biases"].build(tmp_path / "tiny") if biased else tied_checkpoint
    size = tiny.model.config.head_dim
    plain = ModelWeights(Checkpoint.open(tiny.path), {"A": 32, "B": 33}, Head.LETTERS)
    generator = torch.Generator().manual_seed(0)
    columns, rows = {}, {}
    for site in SITES:
        start = "backbone.layers.1."
        source = f"{start}{site.source}.weight"
        rows[source] = torch.exp2(torch.randint(-3, 4, plain.read(source).shape[:1], generator=generator).float())
        spread = rows[source]
        if site.source == "self_attn.v_proj":
            spread = spread.view(2, 1, size).expand(2, 2, size).flatten()
        columns |= {f"{start}{product}.weight": spread for product in site.products}
    folded = replace(plain, smoothing=Smoothing(columns, rows))
    ours, theirs = logits_as_read(folded, tiny.model), logits_as_read(plain, tiny.model)
    torch.testing.assert_close(ours, theirs, atol=0, rtol=0)
    assert not torch.equal(folded.read(next(iter(columns))), plain.read(next(iter(columns))).float())


@pytest.mark.parametrize("name", ["phi3", "olmo2", "gpt2"])
def test_smoothing_where_there_is_nothing_to_smooth_is_refused(name: str, tmp_path: Path) -> None:
    checkpoint = FAMILIES[name].build(tmp_path / "tiny")
    weights = ModelWeights(Checkpoint.open(checkpoint.path), {"A": 32, "B": 33}, Head.LETTERS)
    few = CalibrationSet("some", ("Why?",), ((1, 2, 3),), ())
    with pytest.raises(UnsupportedModelError, match=r"--smooth .* the layers of this model have none"):
        variants.choose_recipes(weights, rim_export.ExportOptions(smooth=True), few, lambda *_: None)


def test_the_injection_changes_no_function(outlier_checkpoint: Path, tied_checkpoint: object) -> None:
    from transformers import Qwen3ForCausalLM

    changed = Qwen3ForCausalLM.from_pretrained(outlier_checkpoint, dtype=torch.float32).eval()
    ids = torch.arange(40)[None]
    with torch.no_grad():
        ours, theirs = changed(ids).logits, tied_checkpoint.model(ids).logits  # type: ignore[attr-defined]
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
