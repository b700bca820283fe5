"""`--keep-going` chooses on a pool and certifies once, on questions that nothing was chosen on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from rim_export.certification import widening
from rim_export.certification.attempts import Tolerance
from rim_export.certification.comparison import compare
from rim_export.certification.evaluation import AnsweredQuestions, Evaluation, VariantEvaluation
from rim_export.certification.steps import ranked
from rim_export.certification.widening import ProvenVariants, prove_variants
from rim_export.errors import VariantRefusedError
from rim_export.measure.part_errors import PartErrors
from rim_export.question_parts import QuestionParts
from rim_export.questions import LabelledQuestion
from rim_export.recipes.recipe import Recipe, Widened
from rim_export.recipes.tables import INT8_TABLE
from rim_runtime.bundle.manifest import Dialect, Head, Precision, Variant
from rim_runtime.prompt.encoder import PromptEncoder

from tests.export.conftest import two_letters

POOL, CERTIFIED = 20, 50
Asked = tuple[str, tuple[str, ...]]
"""Which questions were asked, and what was wider in the variant."""
PARTS = [
    PartErrors(f"backbone.{name}.weight", error) for name, error in zip("abcd", (0.1, 0.4, 0.3, 0.2), strict=True)
]


def emulate(_: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return activations @ weight.T


RECIPE = Recipe(Precision.INT8, Dialect.PORTABLE, None, INT8_TABLE, emulate)


def answered(count: int) -> AnsweredQuestions:
    questions = [LabelledQuestion(f"{number}\nA: this\nB: that", "A") for number in range(count)]
    return AnsweredQuestions(questions, two_letters(*count * [(1, 0)]))


EVALUATION = Evaluation(
    cast(PromptEncoder, SimpleNamespace(contract=SimpleNamespace(blocks=8))),
    answered(POOL),
    8,
    answered(CERTIFIED),
    {emulate: (0.1, 0.4, 0.3, 0.2)},
)


class Writer:
    """Writes empty variants; what they answer is made up."""

    weights = SimpleNamespace(anatomy=SimpleNamespace(table="table.weight"))

    def __init__(self, folder: Path) -> None:
        self.bundle = SimpleNamespace(path=folder)

    def tell(self, *_: object) -> None:
        """Say nothing."""

    def write(self, recipe: Recipe, widened: Widened) -> Variant:
        (self.bundle.path / "data").write_bytes(b"1")
        self.wider = tuple(name.removeprefix("backbone.").removesuffix(".weight") for name in widened)
        return Variant(recipe.name, recipe.precision, Head.LETTERS, "graph", "data")


def prove(
    folder: Path,
    patch: pytest.MonkeyPatch,
    flips: Mapping[int, tuple[int, int]],
    tolerance: Tolerance,
    recipe: Recipe = RECIPE,
) -> tuple[ProvenVariants | VariantRefusedError, list[Asked]]:
    """Prove a variant with so many flips in pool and certificate, by the number of wider parts; what was asked."""
    asked: list[Asked] = []

    def evaluate(
        _: Evaluation, questions: AnsweredQuestions, bundle: Any, variant: Variant, recipe: Recipe, tell: Any
    ) -> VariantEvaluation:
        certified = questions is EVALUATION.certified
        asked.append(("certificate" if certified else "pool", writer.wider))
        count, n = flips[len(writer.wider)][certified], len(questions.questions)
        logits = two_letters(*(n - count) * [(1, 0)], *count * [(0, 1)])
        errors = EVALUATION.errors_of(recipe)
        return VariantEvaluation(
            logits, compare(variant, questions.questions, logits, questions.reference, errors), 0.1
        )

    patch.setattr(widening, "prepare_evaluation", lambda *_: EVALUATION)
    patch.setattr(widening, "evaluate_variant", evaluate)
    patch.setattr(widening, "measured_steps", lambda *_: ranked(PARTS))
    nothing, writer = QuestionParts((), (), ()), Writer(folder)
    given = cast(widening.VariantWriter, writer)
    try:
        return prove_variants(given, EVALUATION.encoder, nothing, (recipe,), tolerance), asked
    except VariantRefusedError as refused:
        return refused, asked


ALWAYS = dict.fromkeys(range(len(PARTS) + 1), (5, 5))


def test_the_certificates_questions_are_asked_once_of_what_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flips = {0: (6, 0), 1: (3, 0), 2: (0, 1)}
    proven, asked = prove(tmp_path, monkeypatch, flips, Tolerance(0.02, keep_going=True))
    assert isinstance(proven, ProvenVariants), proven
    assert asked == [("pool", ()), ("pool", ("b",)), ("pool", ("b", "c")), ("certificate", ("b", "c"))]
    assert proven.widened == {"int8": proven.comparisons[0].widened} == {"int8": {"b": "fp32", "c": "fp32"}}
    assert proven.notes[1].startswith("Kept wider in int8 (2 parts): b and c in fp32. That is 0.0 MB more, and ")
    assert (proven.comparisons[0].n, proven.comparisons[0].flips) == (CERTIFIED, 1)
    assert f"was chosen on {POOL} questions; the certificate's were asked once" in proven.notes[0]


def test_what_passes_on_the_pool_and_not_on_fresh_questions_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going on until the certificate's questions pass would choose on them."""
    flips = {0: (6, 0), 1: (0, 5), 2: (0, 0), 4: (0, 0)}
    refused, asked = prove(tmp_path, monkeypatch, flips, Tolerance(0.02, keep_going=True, closer=("--smooth",)))
    assert asked[-1] == ("certificate", ("b",))
    said = str(refused)
    assert f"answers 5 of {CERTIFIED} questions otherwise than the checkpoint (10.0%), allowed are 2.0%" in said
    assert f"Of the {POOL} questions it was chosen on, these differed" in said
    assert said.endswith(
        "What is kept wider was chosen on other questions, where it passed; these are asked once. "
        "Try --smooth, or allow more with --max-flips."
    )


def test_what_never_passes_on_the_pool_spends_no_fresh_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, asked = prove(tmp_path, monkeypatch, ALWAYS, Tolerance(0.02, keep_going=True))
    assert asked == [("pool", wider) for wider in ((), ("b",), ("b", "c"), ("b", "c", "d", "a"))]
    assert f"answers 5 of {POOL} questions" in str(refused)
    assert "Nothing is left to be kept wider. Allow more with --max-flips." in str(refused)
    assert "--keep-going" not in str(refused), "it advises itself"
    assert [one["asked"] for one in cast(VariantRefusedError, refused).trials] == 4 * ["pool"]


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_recipe_without_wider_forms_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_going: bool
) -> None:
    """The same graph again would be the same answers; --keep-going is not advised, it cannot help."""
    same = replace(RECIPE, widens=False)
    refused, asked = prove(tmp_path, monkeypatch, ALWAYS, Tolerance(0.02, keep_going), same)
    assert [wide for _, wide in asked] == len(asked) * [()]
    assert len({part for part, _ in asked}) == len(asked)
    assert "--keep-going" not in str(refused)


def test_the_gate_may_be_on_the_upper_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No flip of 50 allows 7.1 %, one of 50 10.6 %."""
    flips: dict[int, tuple[int, int]] = {0: (0, 1)}
    upper = Tolerance(0.02, keep_going=False, max_flips_upper=0.08)
    refused, _ = prove(tmp_path, monkeypatch, flips, upper)
    assert "(2.0%, by the 95 % interval at most 10.6%), allowed are an upper end of 8.0%." in str(refused)
    assert "or give more questions with --certify, or allow more with --max-flips-upper." in str(refused)
    passed, _ = prove(tmp_path, monkeypatch, {0: (0, 0)}, upper)
    assert isinstance(passed, ProvenVariants)
    by_share, _ = prove(tmp_path, monkeypatch, flips, replace(upper, max_flips_upper=None))
    assert isinstance(by_share, ProvenVariants)


def test_all_rows_of_the_report_are_the_flips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proven, _ = prove(tmp_path, monkeypatch, {0: (2, 1)}, Tolerance(0.1, keep_going=False))
    assert isinstance(proven, ProvenVariants)
    (trial,) = proven.trials
    assert (trial["asked"], len(trial["changed"])) == ("certificate", 1)
    assert isinstance(trial["changed"], Sequence)
    assert np.isclose(trial["changed"][0]["variant_lead"], 1.0)
