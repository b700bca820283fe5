"""GPTQ by hand on tiny matrices, and against rounding to the nearest on larger ones."""

from __future__ import annotations

import pytest
import torch
from rim_export.recipes.blocks import BlockFormat, Blocks, ZeroPoints, cut, pack, round_to, search_steps
from rim_export.recipes.gptq import Feedback, compensate_blocks, compensate_rows
from rim_export.recipes.matrices import FP8_ROWS, INT8_ROWS, NarrowType

FORMS = [BlockFormat(size, zero_points) for size in (32, 128) for zero_points in ZeroPoints]


def names_of(form: BlockFormat) -> str:
    return f"{form.size} {form.zero_points.value}"


def inputs_that_go_together(width: int, tokens: int = 400) -> torch.Tensor:
    """Activations with few directions and unequal channels, as a model has them: fp32 [tokens, width]."""
    generator = torch.Generator().manual_seed(5)
    mixed = torch.randn(tokens, width // 8, generator=generator) @ torch.randn(
        width // 8, width, generator=generator
    )
    own = 0.3 * torch.randn(tokens, width, generator=generator)
    return (mixed + own) * torch.logspace(-1, 0.5, width)


def compensate(matrix: torch.Tensor, moments: torch.Tensor, form: BlockFormat) -> Blocks:
    return compensate_blocks(matrix, [Feedback.of(moments)], form)


def rounded(matrix: torch.Tensor, moments: torch.Tensor, form: BlockFormat) -> Blocks:
    """The nearest codes, at the scales and zero points that GPTQ takes."""
    steps = search_steps(matrix, form, moments.diagonal())
    return pack(round_to(cut(matrix, form.size), steps), steps)


def product_error(matrix: torch.Tensor, blocks: Blocks, moments: torch.Tensor) -> float:
    return error_of(blocks.widened(matrix.shape[1]), matrix, moments)


def error_of(found: torch.Tensor, matrix: torch.Tensor, moments: torch.Tensor) -> float:
    """tr(E H Eᵀ)."""
    error = (found - matrix).double()
    return float(((error @ moments.double()) * error).sum())


def test_two_columns_by_hand() -> None:
    """H = [[2, 1], [1, 1]] for two weights of 0.3 at a scale of 1.

    The first becomes 0; its 0.3 goes to the second, which becomes 0.6 and so 1: E = (-0.3, 0.7), an error of 0.25.
    Rounding to the nearest gives 0 and 0: E = (-0.3, -0.3) and 0.45.
    """
    matrix = torch.tensor([[0.3, 0.3, 7.0, 0.0]])
    moments = torch.diag(torch.tensor([2.0, 1.0, 1e-3, 1e-3]))
    moments[0, 1] = moments[1, 0] = 1.0
    form = BlockFormat(4, ZeroPoints.MIDDLE)
    found = compensate(matrix, moments, form)
    assert found.steps.scales.tolist() == [[1.0]]
    assert found.widened(4).tolist() == [[0.0, 1.0, 7.0, 0.0]]
    assert product_error(matrix, found, moments) == pytest.approx(0.25, rel=1e-5)
    assert product_error(matrix, rounded(matrix, moments, form), moments) == pytest.approx(0.45, rel=1e-5)


@pytest.mark.parametrize("form", FORMS, ids=names_of)
def test_products_err_less_than_rounded_to_the_nearest(form: BlockFormat) -> None:
    matrix = torch.randn(40, 288, generator=torch.Generator().manual_seed(6)) * 0.05
    inputs = inputs_that_go_together(288)
    moments = inputs.T @ inputs
    ours = product_error(matrix, compensate(matrix, moments, form), moments)
    assert ours < 0.4 * product_error(matrix, rounded(matrix, moments, form), moments)


@pytest.mark.parametrize("form", FORMS, ids=names_of)
def test_inputs_that_do_not_go_together_leave_rounding_to_the_nearest(form: BlockFormat) -> None:
    matrix = torch.randn(9, 144, generator=torch.Generator().manual_seed(7)).bfloat16()
    moments = torch.diag(torch.logspace(-3, 3, 144)[torch.randperm(144)])
    ours, nearest = compensate(matrix, moments, form), rounded(matrix, moments, form)
    assert torch.equal(ours.packed, nearest.packed)
    assert torch.equal(ours.steps.zeros, nearest.steps.zeros)
    assert torch.equal(ours.steps.scales, nearest.steps.scales)


@pytest.mark.parametrize("form", FORMS, ids=names_of)
def test_inputs_that_were_never_seen(form: BlockFormat) -> None:
    """Fewer tokens than inputs, channels that are always 0, and no inputs at all."""
    matrix = torch.randn(8, 96, generator=torch.Generator().manual_seed(8))
    inputs = inputs_that_go_together(96, tokens=10)
    inputs[:, 40:50] = 0
    for moments in (inputs.T @ inputs, torch.zeros(96, 96)):
        found = compensate(matrix, moments, form).widened(96)
        assert found.isfinite().all()
        assert (found - matrix).norm() < 0.5 * matrix.norm()


def test_the_same_bytes_every_time() -> None:
    matrix = torch.randn(16, 160, generator=torch.Generator().manual_seed(9))
    inputs = inputs_that_go_together(160)
    first, second = (compensate(matrix, inputs.T @ inputs, FORMS[0]) for _ in range(2))
    assert torch.equal(first.packed, second.packed)


@pytest.mark.parametrize("kind", [INT8_ROWS, FP8_ROWS], ids=lambda kind: kind.name)
def test_rows_err_less_than_rounded_to_the_nearest(kind: NarrowType) -> None:
    matrix = torch.randn(40, 288, generator=torch.Generator().manual_seed(6)) * 0.05
    inputs = inputs_that_go_together(288)
    moments = inputs.T @ inputs
    found, nearest = compensate_rows(matrix, [Feedback.of(moments)], kind), kind.quantize(matrix)
    assert torch.equal(found.scales, nearest.scales)
    assert found.numbers.dtype is kind.torch_dtype
    assert error_of(found.widened(), matrix, moments) < 0.4 * error_of(nearest.widened(), matrix, moments)


def test_parts_of_the_inputs_make_up_for_themselves_alone() -> None:
    """The whole errs less than two halves, and these less than rounding to the nearest."""
    matrix = torch.randn(24, 192, generator=torch.Generator().manual_seed(10)) * 0.05
    inputs = inputs_that_go_together(192)
    moments = inputs.T @ inputs
    halves = [slice(0, 96), slice(96, 192)]
    feedback = [Feedback.of(moments[half, half]) for half in halves]
    errors = [
        error_of(compensate_rows(matrix, one, INT8_ROWS).widened(), matrix, moments)
        for one in ([Feedback.of(moments)], feedback)
    ]
    assert errors[0] < errors[1] < error_of(INT8_ROWS.quantize(matrix).widened(), matrix, moments)


@pytest.mark.parametrize("kind", [INT8_ROWS, FP8_ROWS], ids=lambda kind: kind.name)
def test_rows_of_inputs_that_do_not_go_together(kind: NarrowType) -> None:
    matrix = torch.randn(9, 144, generator=torch.Generator().manual_seed(7)).bfloat16()
    matrix[3] = 0
    found = compensate_rows(matrix, [Feedback.of(torch.diag(torch.logspace(-3, 3, 144)))], kind)
    assert torch.equal(found.numbers.float(), kind.quantize(matrix).numbers.float())
