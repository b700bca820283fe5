"""What errs most is told by all tokens alike, product by product, and in one unit for all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rim_export.certification.steps import ranked
from rim_export.checkpoint.folder import Checkpoint
from rim_export.measure.part_errors import PartErrors, part_errors
from rim_export.measure.streamed import Product, StreamedModel
from rim_export.recipes.fp8 import fp8_recipe
from rim_export.recipes.int8 import INT8
from rim_export.recipes.recipe import Form, Recipe
from rim_export.recipes.rotated import rotated
from rim_export.weights.model_weights import ModelWeights
from rim_export.weights.rotatable import rotation_of
from rim_runtime.bundle.manifest import Head

from tests.export.conftest import TinyCheckpoint

TABLE = "backbone.embed_tokens.weight"
DOWN = "backbone.layers.1.mlp.down_proj.weight"
GENERATOR = torch.Generator().manual_seed(0)
PROMPTS = [torch.randint(0, 1000, (60,), generator=GENERATOR).tolist() for _ in range(3)]


def opened(path: Path) -> ModelWeights:
    return ModelWeights(Checkpoint.open(path), {"A": 32, "B": 33}, Head.LETTERS)


def measured(path: Path, recipe: Recipe) -> dict[str, PartErrors]:
    return {one.part: one for one in part_errors(opened(path), PROMPTS, recipe, lambda _: None)}


def scaled(first: float, others: float) -> Product:
    """Exact products, but down_proj's results are multiplied: the first token's, and the other tokens'."""

    def product(name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        found = activations @ weight.T
        if "down_proj" in name:
            found[:, :1] *= first
            found[:, 1:] *= others
        return found

    return product


@torch.no_grad()
def test_one_massive_token_does_not_decide(tied_checkpoint: TinyCheckpoint) -> None:
    """A first token 10,000 times larger errs by 1 %, or all the others by 20 %: the second costs more."""
    model = StreamedModel(opened(tied_checkpoint.path))
    before, massive = model.embed(PROMPTS), 1e4
    layer = next(model.layers())
    with layer.replaced(scaled(massive, 1.0)):
        after = layer.advance(before)

    def squares(product: Product) -> float:
        """The root mean square over all tokens, for comparison."""
        with layer.replaced(product):
            rough = layer.advance(before)
        wrong = sum(float(((a - b) ** 2).sum()) for a, b in zip(rough, after, strict=True))
        return float((wrong / sum(float(((b - a) ** 2).sum()) for a, b in zip(before, after, strict=True))) ** 0.5)

    of_the_first, of_the_others = scaled(1.01 * massive, 1.0), scaled(massive, 1.2)
    assert squares(of_the_first) > 10 * squares(of_the_others), "the massive token is not one"
    for error in (
        lambda product: layer.update_error(before, after, product),
        lambda product: layer.state_error(before, after, product, f"{layer.name}.mlp.down_proj.weight"),
    ):
        assert error(of_the_others) > 10 * error(of_the_first)
        assert error(of_the_first) == pytest.approx(0.01 / 60, rel=0.05)


def test_the_outliers_product_comes_first_and_the_table_is_a_candidate(outlier_checkpoint: Path) -> None:
    weights = opened(outlier_checkpoint)
    errors = measured(outlier_checkpoint, rotated(INT8, rotation_of(weights)))
    assert len(errors) == 3 * 7 + 1
    assert ranked(list(errors.values()))[0].part == DOWN
    assert errors[DOWN].own > 5 * max(one.own for name, one in errors.items() if name != DOWN)
    assert 0.003 < errors[TABLE].own < 0.02, "int8 rows err by about a hundredth"
    assert all(one.finer is None for one in errors.values())


def test_a_product_alone_errs_less_than_its_layer(tied_checkpoint: TinyCheckpoint) -> None:
    """Others of the layer are exact meanwhile, and exact again afterwards."""
    asked: list[str] = []

    def product(name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        asked.append(name)
        return activations @ weight.T

    errors = measured(tied_checkpoint.path, replace(INT8, emulate=product))
    products = [name for name in errors if name != TABLE]
    assert asked == products, "each is emulated once, by itself"
    assert max(errors[name].own for name in products) < 1e-6


def test_a_clipped_range_is_mended_by_rows_first(tied_checkpoint: TinyCheckpoint) -> None:
    """fp8 at a constant scale: rows before fp16 or fp32; where rows are no better, they are left out."""
    errors = measured(tied_checkpoint.path, fp8_recipe({DOWN: 1e-4}))
    assert set(errors) == {name for name in errors if name != TABLE}, "its table is not rounded"
    clipped = errors[DOWN]
    assert clipped.finer is not None
    assert clipped.finer < clipped.own / 5
    first, *others = ranked(list(errors.values()))
    assert (first.part, first.form) == (DOWN, Form.FINER)
    assert [step.form for step in others] == len(others) * [Form.WIDE], "the others are by row already"
    assert [step.error for step in others] == sorted((step.error for step in others), reverse=True)
    assert clipped.finer in [step.error for step in others if step.part == DOWN]
