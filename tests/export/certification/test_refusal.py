"""What a refused export says: why the variant was written, what was tried, and what is left to try."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rim_export
from rim_export.certification.attempts import Attempt, Attempts, Tolerance
from rim_export.certification.comparison import compare
from rim_export.certification.evaluation import VariantEvaluation
from rim_export.certification.refusal import too_few_golden, too_many_flips
from rim_export.questions import LabelledQuestion
from rim_export.recipes.precisions import RECIPES, Measured, gpu_recipe
from rim_export.recipes.recipe import Recipe
from rim_export.settings import Activations, ExportOptions
from rim_runtime.bundle.manifest import Compute, Head, Precision, Variant

from tests.export.conftest import two_letters

QUESTIONS = 10 * [LabelledQuestion("Which?\nA: this\nB: that", "A")]
REFERENCE = two_letters(*10 * [(1, 0)])
(INT8,) = RECIPES[Precision.INT8](Measured())
(BF16,) = RECIPES[Precision.BF16](Measured())
INT4_ORT, INT4 = RECIPES[Precision.INT4](Measured())
FP8_FP16 = gpu_recipe(Precision.FP8, Compute.FP16, Measured())


def attempt(recipe: Recipe, flips: int, *wider: str) -> Attempt:
    logits = two_letters(*flips * [(0, 1)], *(10 - flips) * [(1, 0)])
    variant = Variant(recipe.name, recipe.precision, Head.LETTERS, "graph", "data")
    variant = replace(variant, compute=recipe.compute)
    result = VariantEvaluation(logits, compare(variant, QUESTIONS, logits, REFERENCE, (0.1, 0.3)), 0.1)
    return Attempt(recipe, variant, result, 100, widened=dict.fromkeys(wider, "fp32"))


def said(attempts: Attempts, recipes: tuple[Recipe, ...], keep_going: bool, *closer: str) -> str:
    return too_many_flips(attempts, Tolerance(0.09, keep_going, closer), recipes)


def test_both_numbers_and_the_layers_are_named() -> None:
    message = said((attempt(INT8, 1),), (INT8,), False)
    assert "The int8 variant answers 1 of 10 questions otherwise than the checkpoint (10.0%)" in message
    assert (
        "allowed are 9.0%. Nothing was written. Layers that cost most, with the error of their update: 1"
        in message
    )
    assert message.endswith("Keep wider what errs most with --keep-going, or allow more with --max-flips.")


def test_what_failed_is_not_advised_again() -> None:
    tried = (attempt(INT8, 5), attempt(INT8, 3, "embedding table"), attempt(INT8, 2, *"abc"))
    message = said(tried, (INT8,), True, "--smooth", "--precision fp32")
    assert "Of the 10 questions it was chosen on, these differed, by what was kept wider: " in message
    assert "5 with nothing, 3 with the embedding table in fp32, 2 with 3 parts." in message
    end = "Try --smooth, or --precision fp32, or allow more with --max-flips."
    assert message.endswith(f"Nothing is left to be kept wider. {end}")
    assert "--keep-going" not in message


@pytest.mark.parametrize("keep_going", [False, True])
def test_recipes_without_wider_forms_are_not_told_to_widen_them(keep_going: bool) -> None:
    message = said((attempt(BF16, 2),), (INT8, BF16), keep_going)
    assert message.endswith("bf16 has nothing that could be kept wider. Allow more with --max-flips.")


def test_a_variant_that_nobody_named_says_why_it_is_there() -> None:
    both = said((attempt(INT4_ORT, 2),), (INT4_ORT, INT4), False)
    assert "int4-ort is int4 in ONNX Runtime's own operators" in both
    assert "--dialect portable leaves it out." in both
    assert "own operators" not in said((attempt(INT4_ORT, 2),), (INT4_ORT,), False)
    for_gpus = said((attempt(INT8, 2),), (INT8, FP8_FP16), True, "--activations row")
    assert "int8 is written with every export for GPUs, so that the bundle answers on a CPU too." in for_gpus
    assert "--activations row" not in for_gpus, "that would not help int8"
    assert "every export" not in said((attempt(FP8_FP16, 2),), (INT8, FP8_FP16), False)


def test_few_golden_questions() -> None:
    found = "Only 1 of 32 candidate questions …, expected at least 4. Nothing was written."
    message = too_few_golden(found, (attempt(INT8, 0),), Tolerance(0.02, keep_going=False), (INT8,))
    advice = "Keep wider what errs most with --keep-going, or give more questions with --certify or --golden."
    assert message == f"{found} {advice}"


@pytest.mark.parametrize(
    ("options", "closer"),
    [
        ({}, ("--smooth", "--precision fp32")),
        ({"smooth": True}, ("--precision fp32",)),
        ({"precision": Precision.INT4}, ("--block-size 32", "--precision int8")),
        ({"precision": Precision.INT4, "block_size": 32}, ("--precision int8",)),
        ({"precision": Precision.FP8}, ("--activations row", "--precision int8")),
        ({"precision": Precision.FP8, "activations": Activations.ROW}, ("--precision int8",)),
        ({"precision": Precision.BF16}, ()),
    ],
)
def test_what_is_advised_was_not_chosen_already(options: dict[str, Any], closer: tuple[str, ...]) -> None:
    assert ExportOptions(**options).closer == closer


def test_the_report_shows_every_attempt_and_what_changed(outlier_checkpoint: Path, tmp_path: Path) -> None:
    """Whether it is refused or passes; the changed answers are the certificate's flips."""
    target, reports = tmp_path / "made" / "bundle", tmp_path / "reports"
    reports.mkdir()
    refused = ExportOptions(max_flips=0.0, report=reports / "refused.json")
    with pytest.raises(rim_export.VariantRefusedError) as caught:
        rim_export.export(outlier_checkpoint, target, refused)
    assert f"What every attempt answered is in {reports / 'refused.json'}." in caught.value.__notes__
    assert not list(target.parent.iterdir())
    body = json.loads((reports / "refused.json").read_text(encoding="utf-8"))
    assert (body["passed"], body["refusal"], body["max_flips"]) == (False, str(caught.value), 0.0)
    (only,) = body["attempts"]
    assert len(only["changed"]) == only["certificate"]["flips"] > 0
    assert all(row["checkpoint"] != row["variant"] and row["checkpoint_lead"] > 0 for row in only["changed"])
    passed = ExportOptions(max_flips=0.1, keep_going=True, report=reports / "passed.json")
    rim_export.export(outlier_checkpoint, target, passed)
    body = json.loads((reports / "passed.json").read_text(encoding="utf-8"))
    assert (body["passed"], body["refusal"]) == (True, None)
    first, last = body["attempts"]
    assert [one["certificate"]["widened"] for one in (first, last)] == [{}, {"layers.1.mlp.down_proj": "fp32"}]
    assert (first["asked"], first["certificate"]["n"]) == ("pool", 96), "the certificate is asked once, at the end"
    assert (last["asked"], last["certificate"]["n"]) == ("certificate", 192)
