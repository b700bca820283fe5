"""The certificate measures what it says, and refuses what it must."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rim_export
from rim_export.certification.attempts import Tolerance
from rim_export.certification.comparison import compare
from rim_export.certification.intervals import paired_difference_interval
from rim_export.errors import CertificateError
from rim_export.questions import CERTIFICATE_SET, LabelledQuestion
from rim_export.recipes.matrices import QuantizedRows, RowMatrices
from rim_runtime.bundle.folder import sha256_file
from rim_runtime.bundle.manifest import Head, Precision, Variant
from rim_runtime.machine.cpu import this_cpu
from safetensors.torch import load_file

from tests.export.conftest import TinyCheckpoint, two_letters

VARIANT = Variant("int8", Precision.INT8, Head.LETTERS, "graph", "data")
TWO = "Which?\nA: this\nB: that"


def test_comparison_by_hand() -> None:
    questions = [LabelledQuestion(TWO, "A"), LabelledQuestion(TWO, "B"), LabelledQuestion(TWO, None)]
    reference = two_letters((1, 0), (1, 0), (0, 2))
    result = compare(VARIANT, questions, two_letters((1, 0), (0, 1), (0, 1)), reference)
    assert (result.n, result.flips, result.agreement) == (3, 1, pytest.approx(2 / 3))
    assert (result.labelled, result.accuracy, result.reference_accuracy) == (2, 1.0, 0.5)
    assert result.max_logit_error == 1.0
    assert result.mean_logit_error == pytest.approx(3 / 6)
    assert result.accuracy_difference == 0.5  # of two labelled questions one is gained
    assert result.accuracy_difference_interval == paired_difference_interval(1, 0, 2)
    assert (result.near_tie_flips, result.worst_margin) == (0, -1.0)
    assert result.flips_interval == pytest.approx((0.0084, 0.9057), abs=1e-4)
    e = np.exp(1)
    p = e / (1 + e)  # the second question: [p, 1-p] against [1-p, p]
    q, r = np.exp(2) / (1 + np.exp(2)), e / (1 + e)  # the third
    kl = (p - (1 - p)) * np.log(p / (1 - p)) + (1 - q) * np.log((1 - q) / (1 - r)) + q * np.log(q / r)
    assert result.mean_kl == pytest.approx(kl / 3)


def test_flips_between_nearly_even_letters_are_told_apart() -> None:
    questions = 3 * [LabelledQuestion(TWO, None)]
    reference = two_letters((0.05, 0), (2, 0), (2, 0))
    result = compare(VARIANT, questions, two_letters((0, 1), (0, 1), (2, 0)), reference)
    assert (result.flips, result.near_tie_flips, result.clear_flips) == (2, 1, 1)
    assert result.clear_share == pytest.approx(1 / 3)


def test_fp32_is_excused_nothing() -> None:
    """Its sums differ from the checkpoint's in order alone, so that flips of near ties are a fault too."""
    questions = 2 * [LabelledQuestion(TWO, None)]
    reference = two_letters((0.05, 0), (0.0005, 0))
    fp32 = Variant("fp32", Precision.FP32, Head.LETTERS, "graph", "data")
    result = compare(fp32, questions, two_letters((0, 1), (0, 1)), reference)
    assert (result.flips, result.near_tie_flips) == (2, 0)


def test_near_ties_are_excused_only_where_the_checkpoint_held_the_new_letter_for_as_likely() -> None:
    """A and B are nearly even, and the variant answers C: that is damage."""
    questions = 2 * [LabelledQuestion("Which?\nA: this\nB: that\nC: neither", None)]
    reference = np.full((2, 10), -9, np.float32)
    reference[:, :3] = [1.05, 1, -3]
    found = reference.copy()
    found[0, 1], found[1, 2] = 1.2, 2
    result = compare(VARIANT, questions, found, reference)
    assert (result.flips, result.near_tie_flips) == (2, 1)


def test_near_ties_do_not_fail_an_export() -> None:
    """Four of four letters change; half of them to one that the checkpoint held nearly as likely."""
    questions = 4 * [LabelledQuestion(TWO, None)]
    reference = two_letters((0.05, 0), (0.09, 0), (0.2, 0), (2, 0))
    result = compare(VARIANT, questions, two_letters(*4 * [(0, 1)]), reference)
    assert (result.flips, result.clear_flips) == (4, 2)
    assert Tolerance(0.5, keep_going=False).allows(result)
    assert not Tolerance(0.49, keep_going=False).allows(result)
    upper = result.clear_interval[1]
    assert Tolerance(0.5, keep_going=False, max_flips_upper=upper).allows(result)
    assert not Tolerance(0.5, keep_going=False, max_flips_upper=upper - 0.01).allows(result)


def test_logits_that_are_not_numbers() -> None:
    with pytest.raises(CertificateError, match="reference logits are not finite on 1 of 2"):
        compare(
            VARIANT,
            2 * [LabelledQuestion(TWO, None)],
            two_letters((1, 0), (1, 0)),
            two_letters((np.nan, 0), (1, 0)),
        )


def test_corrupted_tensors_fail_the_export(
    tied_checkpoint: TinyCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The down projections' signs, known by their shape: what is stored may be rotated first."""
    victim = load_file(tied_checkpoint.path / "model.safetensors")["model.layers.1.mlp.down_proj.weight"].shape

    honest = RowMatrices.rows

    def corrupt(matrices: RowMatrices, *of: Any) -> QuantizedRows:
        stored = honest(matrices, *of)
        return replace(stored, numbers=-stored.numbers) if stored.numbers.shape == victim else stored

    monkeypatch.setattr(RowMatrices, "rows", corrupt)
    target = tmp_path / "out" / "bundle"
    with pytest.raises(CertificateError, match="otherwise than the checkpoint"):
        rim_export.export(tied_checkpoint.path, target, rim_export.ExportOptions())
    assert not list(target.parent.iterdir())


def test_certificate_of_a_bundle_says_what_it_compared(tied_checkpoint: TinyCheckpoint, tmp_path: Path) -> None:
    options = rim_export.ExportOptions(precision=Precision.FP32, max_flips=0.0)
    report = rim_export.export(tied_checkpoint.path, tmp_path / "bundle", options)
    (variant,) = report.certificate.variants
    assert (variant.n, variant.flips, variant.agreement) == (256, 0, 1.0)
    assert variant.max_logit_error < 1e-3
    certificate = report.certificate
    assert (certificate.questions, certificate.golden) == ("medical.jsonl", "medical.jsonl")
    assert certificate.questions_sha256 == certificate.golden_sha256 == sha256_file(CERTIFICATE_SET)
    assert (certificate.golden_candidates, certificate.chosen_on) == (32, 0)
    assert (certificate.family, certificate.tools) == ("qwen3", report.manifest.tools)
    assert certificate.checkpoint_files["config.json"] == sha256_file(tied_checkpoint.path / "config.json")
    assert variant.computed_with.startswith("onnxruntime ")
    assert certificate.processor == this_cpu().fingerprint
    assert variant.recipe["compute"] == "fp32"
    assert json.loads((report.bundle / "certificate.json").read_text())["variants"][0]["recipe"] == variant.recipe
    assert any("assumed the model card's 8 blocks" in note for note in report.notes)
