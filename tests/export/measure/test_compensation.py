"""int8 and fp8 weights that calibration compensates: their products err less, turned, smoothed or neither."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from rim_export.graph.projection import rows_first
from rim_export.measure.compensation import MOST_TOKENS, compensated_rows
from rim_export.measure.moments import MOST_TOGETHER, Moments
from rim_export.measure.streamed import StreamedModel
from rim_export.question_sets import CalibrationSet
from rim_export.recipes.matrices import FP8_ROWS, INT8_ROWS, NarrowType, QuantizedRows
from rim_export.weights.model_weights import ModelWeights, Smoothing
from rim_export.weights.rotatable import rotation_of

from tests.export.gpu_graphs import two_layers


def written(turned: bool, smoothing: Smoothing | None = None) -> ModelWeights:
    plain = two_layers().weights
    return ModelWeights(
        plain.checkpoint,
        plain.letters,
        plain.head,
        smoothing or Smoothing(),
        rotation_of(plain) if turned else None,
    )


def prompts(count: int, length: int, seed: int) -> CalibrationSet:
    generator = torch.Generator().manual_seed(seed)
    rows = tuple(tuple(torch.randint(10, 400, (length,), generator=generator).tolist()) for _ in range(count))
    return CalibrationSet("random ids", ("",) * count, rows, ())


def first_layer_errors(
    weights: ModelWeights, found: Mapping[str, QuantizedRows], kind: NarrowType, asked: CalibrationSet
) -> list[float]:
    """tr(E H Eᵀ) of the first layer's matrices, as a share of that of rounding to the nearest."""
    model = StreamedModel(weights)
    layer = next(iter(model.layers()))
    moments = Moments(weights.fold_input)
    layer.advance(model.embed(asked.prompts), moments.add)
    shares = []
    for name, linear in layer.linears.items():
        matrix, seen = weights.fold(name, rows_first(linear)), torch.block_diag(*moments.sums(name))
        errors = [one.widened() - matrix for one in (found[name], kind.quantize(matrix))]
        ours, nearest = (float(((error @ seen) * error).sum()) for error in errors)
        shares.append(ours / nearest)
    return shares


@pytest.mark.parametrize("turned", [False, True], ids=["as they are", "rotated"])
@pytest.mark.parametrize("kind", [INT8_ROWS, FP8_ROWS], ids=lambda kind: kind.name)
def test_products_err_less_on_questions_that_calibration_did_not_see(kind: NarrowType, turned: bool) -> None:
    weights = written(turned)
    found = compensated_rows(weights, prompts(12, 60, seed=1), [kind], lambda share: None)[kind]
    assert found.keys() == {name for layer in StreamedModel(weights).layers() for name in layer.linears}
    assert max(first_layer_errors(weights, found, kind, prompts(12, 60, seed=2))) < 0.8


def test_smoothed_weights_are_compensated_for_the_inputs_that_they_take() -> None:
    """Channels of one product's input are divided and its columns multiplied, before anything is rounded."""
    name = "backbone.layers.0.mlp.down_proj.weight"
    factors = torch.logspace(-2, 2, two_layers().weights.read(name).shape[1])
    weights = written(turned=False, smoothing=Smoothing(columns={name: factors}))
    asked = prompts(12, 60, seed=1)
    found = compensated_rows(weights, asked, [INT8_ROWS], lambda share: None)[INT8_ROWS]
    assert max(first_layer_errors(weights, found, INT8_ROWS, asked)) < 0.8


def test_no_more_tokens_are_taken_than_help() -> None:
    """Questions after the first MOST_TOKENS change nothing."""
    asked = prompts(MOST_TOKENS // 128 + 2, 128, seed=3)
    fewer = CalibrationSet(asked.name, asked.texts[:-2], asked.prompts[:-2], ())
    some, all_of_them = (
        compensated_rows(written(turned=True), one, [INT8_ROWS], lambda share: None)[INT8_ROWS]
        for one in (fewer, asked)
    )
    assert all(torch.equal(some[name].numbers, all_of_them[name].numbers) for name in some)


def test_wide_inputs_are_counted_in_parts() -> None:
    moments = Moments()
    inputs = torch.randn(5, MOST_TOGETHER + 3, generator=torch.Generator().manual_seed(4))
    moments.add("down", inputs)
    assert [len(part) for part in moments.sums("down")] == [MOST_TOGETHER, 3]
    torch.testing.assert_close(moments.sums("down")[1], inputs[:, -3:].T @ inputs[:, -3:])
