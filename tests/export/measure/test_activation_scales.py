"""A first token that is far larger than others inside one MLP, as trained models have it: what it does to fp8."""

from __future__ import annotations

from pathlib import Path

import pytest
import rim_export
from rim_export.certification.provenance import describe_recipe
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import template_ids
from rim_export.measure import activation_scales
from rim_export.measure.part_errors import part_errors
from rim_export.question_sets import CalibrationSet
from rim_export.recipes.recipe import Recipe
from rim_export.variants import ChosenRecipes, choose_recipes
from rim_export.weights.model_weights import ModelWeights
from rim_runtime.bundle.manifest import Head, Precision
from safetensors.torch import load_file, save_file

from tests.export.conftest import TinyCheckpoint

DOWN = "layers.1.mlp.down_proj"
FP8 = rim_export.ExportOptions(precision=Precision.FP8, rounding=rim_export.Rounding.NEAREST)
MASSIVE = 1e6
"""About what it reaches in one channel of that product's activation."""
MARK, CHANNEL = 5, 7
"""The channel of the stream that marks a turn's first token, and that of the MLP which reads the mark."""


@pytest.fixture
def massive_checkpoint(damaged: Path, tied_checkpoint: TinyCheckpoint) -> Path:
    """The tied checkpoint, in which the token that begins a turn is massive in layer 1 and from there on."""
    file = damaged / "model.safetensors"
    weights = load_file(file)
    table = weights["model.embed_tokens.weight"]
    table[:, MARK] = 0
    table[template_ids(tied_checkpoint.tokenizer, "Why?")[0], MARK] = 100
    for layer in (0, 1):
        for writes in ("self_attn.o_proj", "mlp.down_proj"):
            weights[f"model.layers.{layer}.{writes}.weight"][MARK] = 0
    for reads in ("gate_proj", "up_proj"):
        row = weights[f"model.layers.1.mlp.{reads}.weight"][CHANNEL]
        row.zero_()
        row[MARK] = MASSIVE**0.5 / 5
    save_file(weights, file, metadata={"format": "pt"})
    return damaged


def opened(checkpoint: Path) -> ModelWeights:
    return ModelWeights(Checkpoint.open(checkpoint), {"A": 32, "B": 33}, Head.LETTERS)


def few_questions(tiny: TinyCheckpoint, questions: list[str]) -> CalibrationSet:
    texts = tuple(questions[:8])
    return CalibrationSet("some", texts, tuple(tuple(template_ids(tiny.tokenizer, text)) for text in texts), ())


def chosen(weights: ModelWeights, few: CalibrationSet) -> ChosenRecipes:
    return choose_recipes(weights, FP8, few, lambda *_: None)


def test_that_product_takes_each_tokens_own_scale_and_errs_less(
    massive_checkpoint: Path,
    tied_checkpoint: TinyCheckpoint,
    questions: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights, few = opened(massive_checkpoint), few_questions(tied_checkpoint, questions)
    ours = chosen(weights, few)
    assert ours.notes[-1] == (
        f"In 1 of 21 products each token has its own scale, as a constant one errs more: {DOWN}."
    )
    told = describe_recipe(ours.recipes[0], FP8, few)
    assert (told["activations"], told["by_row"]) == ("tensor", [DOWN])
    monkeypatch.setattr(activation_scales, "MOST_TIMES", float("inf"))
    constant = chosen(weights, few)
    assert "all 21 products have constant scales" in constant.notes[-1]

    def error(recipe: Recipe) -> float:
        found = part_errors(weights, few.prompts, recipe, lambda _: None)
        return next(one.own for one in found if one.part == f"backbone.{DOWN}.weight")

    assert error(constant.recipes[0]) > 5 * error(ours.recipes[0])


def test_constant_scales_stay_where_none_errs_more(tied_checkpoint: TinyCheckpoint, questions: list[str]) -> None:
    found = chosen(opened(tied_checkpoint.path), few_questions(tied_checkpoint, questions))
    assert "all 21 products have constant scales" in found.notes[-1]
    assert describe_recipe(found.recipes[0], FP8, None)["by_row"] == []
