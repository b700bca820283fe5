"""Matrices in narrow formats against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from rim_export.recipes.matrices import block_count, block_scales, quantize_blocks, quantize_rows, row_scales


def test_rows_in_int8_by_hand() -> None:
    matrix = torch.tensor([[127.0, -63.4, 0.6], [-0.5, 0.25, 0.0], [0.0, 0.0, 0.0]])
    assert row_scales(matrix).tolist() == pytest.approx([1.0, 0.5 / 127, 0.0], abs=1e-9)
    assert row_scales(matrix)[2] > 0
    assert quantize_rows(matrix).tolist() == [[127, -63, 1], [-127, 64, 0], [0, 0, 0]]  # 63.5 goes to the even 64


def test_int4_reaches_from_minus_eight_to_seven() -> None:
    values = torch.tensor([[-9.0, -8.0, -7.0, 0.4, 0.6, 7.0, 8.0, 3.0]])
    blocks = quantize_blocks(values / 4, torch.tensor([[0.25]], dtype=torch.float16), 8)
    assert blocks.values.tolist() == [[[-8, -8, -7, 0, 1, 7, 7, 3]]]
    assert blocks.widened(8).tolist() == [[-2.0, -2.0, -1.75, 0.0, 0.25, 1.75, 1.75, 0.75]]


def test_the_scale_that_errs_least_is_taken() -> None:
    """With a scale of 1 all of these are exact but 8; 8/7 or more keeps it and rounds the others."""
    ones = torch.tensor([[8.0, *7 * [1.0], *8 * [2.0]]])
    scales = block_scales(ones, 16)
    error = {scale: _error(ones, scale) for scale in (8 / 7, 8 / 7.4, 8 / 7.8, 8 / 8.2, 8 / 8.7, 8 / 9.3, 8 / 10)}
    assert float(scales) == pytest.approx(min(error, key=error.__getitem__), rel=1e-3)


def _error(matrix: torch.Tensor, scale: float) -> float:
    rounded = (matrix / scale).round().clamp(-8, 7) * scale
    return float(((rounded - matrix) ** 2).sum())


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-7, 1.0])
def test_scales_stay_above_zero_however_small_a_block_is(size: float) -> None:
    """TensorRT refuses a scale of zero, and what fp16 rounds to zero would be one."""
    scales = block_scales(size * torch.linspace(-1, 1, 64)[None], 32)
    assert (scales > 0).all()


def test_counts_of_blocks() -> None:
    assert [block_count(inputs, 32) for inputs in (1, 31, 32, 33, 64)] == [1, 1, 1, 2, 2]
