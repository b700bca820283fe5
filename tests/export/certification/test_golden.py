"""Golden questions are clear to every variant, and --keep-going sees to it that enough are left."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import rim_export
from rim_export.certification import attempts
from rim_export.certification.attempts import Tolerance
from rim_export.certification.golden import choose_golden
from rim_export.errors import CertificateError
from rim_export.questions import LabelledQuestion

from tests.export.conftest import two_letters


def test_golden_questions_have_clear_margins() -> None:
    questions = [LabelledQuestion(f"{number}\nA: this\nB: that", None) for number in range(8)]
    reference = two_letters(*[(margin, 0) for margin in range(8)])
    variant = reference + two_letters((0.25, -0.25))
    golden = choose_golden(questions, {"int8": variant}, reference, blocks=8)
    assert [row.question[0] for row in golden] == ["7", "6", "5", "4", "3", "2", "1"]
    assert all(row.letter == "A" and row.blocks == 8 for row in golden)
    assert sum(np.exp(golden[0].log_probabilities)) == pytest.approx(1, abs=1e-3)


def test_what_all_letters_of_a_question_err_alike_is_no_noise() -> None:
    """A real model's letters move together when it is rounded: their answers do not."""
    questions = 8 * [LabelledQuestion("Which?\nA: this\nB: that", None)]
    reference = two_letters(*[(0.1 * margin, 0) for margin in range(1, 9)])
    moved = reference + np.linspace(-3, 3, 8, dtype=np.float32)[:, None]
    assert len(choose_golden(questions, {"int8": moved}, reference, blocks=8)) == 8


def test_too_few_say_how_many_each_variant_leaves() -> None:
    questions = 8 * [LabelledQuestion("Which?\nA: this\nB: that", None)]
    reference = two_letters(*8 * [(1, 0)])
    variants = {"int4-ort": two_letters(*8 * [(0, 1)]), "int4": two_letters(*5 * [(1, 0)], *3 * [(0.9, 0)])}
    message = r"Only 0 of 8 candidate questions .* \(int4-ort 0, int4 8\), expected at least 4\."
    with pytest.raises(CertificateError, match=message):
        choose_golden(questions, variants, reference, blocks=8)


def test_where_every_letter_may_change_golden_questions_need_not_be_clear() -> None:
    """Random weights, for benchmarks: export has to pass with --max-flips 1."""
    questions = 8 * [LabelledQuestion("Which?\nA: this\nB: that", None)]
    reference, noisy = two_letters(*8 * [(1, 0)]), two_letters(*3 * [(0, 3)], *5 * [(3, 0)])
    with pytest.raises(CertificateError, match="Only 0 of 8"):
        choose_golden(questions, {"int4": noisy}, reference, blocks=8)
    assert Tolerance(0.02, keep_going=False).clear_margin == 4
    every = Tolerance(1.0, keep_going=False)
    assert len(choose_golden(questions, {"int4": noisy}, reference, 8, every.clear_margin)) == 5


def test_keep_going_widens_the_product_that_blurs_them(
    outlier_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many flips are allowed short of all, a bundle needs clear golden questions.

    The margin is wider than it is for users, so that few are clear with the outlier and many without it.
    """
    monkeypatch.setattr(attempts, "CLEAR_MARGIN", 12.0)
    options = rim_export.ExportOptions(keep_going=True, max_flips=0.99)
    report = rim_export.export(outlier_checkpoint, tmp_path / "bundle", options)
    (certified,) = report.certificate.variants
    assert certified.widened == {"layers.1.mlp.down_proj": "fp32"}
    assert (report.bundle / "golden.jsonl").read_text().count("\n") >= 4
    notes = "\n".join(report.notes)
    assert re.search(r"Only [0-3] of 32 candidates for golden questions were answered with a clear margin", notes)
    assert "more was kept wider in int8" in notes
    assert "Kept wider in int8 (1 part): layers.1.mlp.down_proj in fp32." in notes
