"""int4 blocks against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from rim_export.recipes.blocks import (
    BlockFormat,
    Steps,
    ZeroPoints,
    block_count,
    cut,
    pack,
    round_matrix,
    round_to,
    search_steps,
)

SYMMETRIC = BlockFormat(8, ZeroPoints.MIDDLE)
OWN = BlockFormat(8, ZeroPoints.OWN)


def steps(scale: float, zero: int) -> Steps:
    return Steps(torch.tensor([[scale]], dtype=torch.float16), torch.tensor([[zero]], dtype=torch.uint8))


def test_symmetric_blocks_reach_from_minus_eight_to_seven() -> None:
    values = torch.tensor([[-9.0, -8.0, -7.0, 0.4, 0.6, 7.0, 8.0, 3.0]])
    blocks = pack(round_to(cut(values / 4, 8), steps(0.25, 8)), steps(0.25, 8))
    assert blocks.codes.tolist() == [[[0, 0, 1, 8, 9, 15, 15, 11]]]
    assert blocks.packed.tolist() == [[[0x00, 0x81, 0xF9, 0xBF]]]
    assert blocks.widened(8).tolist() == [[-2.0, -2.0, -1.75, 0.0, 0.25, 1.75, 1.75, 0.75]]


def test_a_zero_point_moves_the_range() -> None:
    """From -0.5 to 3.25 in quarters: 2 codes below zero, 13 above."""
    values = torch.tensor([[-0.5, -0.25, 0.0, 0.1, 0.15, 3.25, 3.4, -1.0]])
    blocks = pack(round_to(cut(values, 8), steps(0.25, 2)), steps(0.25, 2))
    assert blocks.codes.tolist() == [[[0, 1, 2, 2, 3, 15, 15, 0]]]
    assert blocks.widened(8).tolist() == [[-0.5, -0.25, 0.0, 0.0, 0.25, 3.25, 3.25, -0.5]]


def test_sixteen_levels_in_a_range_of_their_own_are_found() -> None:
    """A grid of sixteen numbers from -0.5 to 3.25 is exact with a zero point, and cannot be without."""
    values = (torch.arange(16) - 2.0)[torch.tensor([0, 15, 3, 8, 2, 11, 7, 14])][None] / 4
    assert round_matrix(values, OWN).widened(8).tolist() == values.tolist()
    found = search_steps(values, OWN)
    assert (found.scales.tolist(), found.zeros.tolist()) == ([[0.25]], [[2]])
    assert (round_matrix(values, SYMMETRIC).widened(8) - values).abs().max() > 0.05


def test_the_scale_that_errs_least_is_taken() -> None:
    """With a scale of 1 all of these are exact but 8; 8/7 or more keeps it and rounds the others."""
    ones = torch.tensor([[8.0, *7 * [1.0], *8 * [2.0]]])
    found = search_steps(ones, BlockFormat(16, ZeroPoints.MIDDLE)).scales
    error = {scale: _error(ones, scale) for scale in (8 / 7, 8 / 7.4, 8 / 7.8, 8 / 8.2, 8 / 8.7, 8 / 9.3, 8 / 10)}
    assert float(found) == pytest.approx(min(error, key=error.__getitem__), rel=1e-3)


def test_importance_decides_which_weights_are_clipped() -> None:
    """One large weight that is never used shall not cost the others their precision."""
    matrix = torch.tensor([[8.0, *3 * [3.0], *4 * [0.0]]])
    alike = search_steps(matrix, SYMMETRIC)
    unused = search_steps(matrix, SYMMETRIC, torch.tensor([0.0, *7 * [1.0]]))
    assert _error(matrix[:, 1:], float(unused.scales)) < _error(matrix[:, 1:], float(alike.scales))


def _error(matrix: torch.Tensor, scale: float) -> float:
    rounded = (matrix / scale).round().clamp(-8, 7) * scale
    return float(((rounded - matrix) ** 2).sum())


@pytest.mark.parametrize("zero_points", list(ZeroPoints))
@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-7, 1.0])
def test_scales_stay_above_zero_however_small_a_block_is(size: float, zero_points: ZeroPoints) -> None:
    """TensorRT refuses a scale of zero, and what fp16 rounds to zero would be one."""
    scales = search_steps(size * torch.linspace(-1, 1, 64)[None], BlockFormat(32, zero_points)).scales
    assert (scales > 0).all()


@pytest.mark.parametrize("zero_points", list(ZeroPoints))
@pytest.mark.parametrize("size", [32, 128])
def test_searched_scales_err_less_than_the_largest_value(size: int, zero_points: ZeroPoints) -> None:
    matrix = torch.randn(64, 384, generator=torch.Generator().manual_seed(2))
    peaks = cut(matrix, size).abs().amax(dim=2)
    plain = Steps((peaks / 7).half(), torch.full(peaks.shape, 8, dtype=torch.uint8))
    exact = pack(round_to(cut(matrix, size), plain), plain).widened(384)
    searched = round_matrix(matrix, BlockFormat(size, zero_points)).widened(384)
    assert ((searched - matrix) ** 2).sum() < 0.95 * ((exact - matrix) ** 2).sum()


@pytest.mark.parametrize("zero_points", list(ZeroPoints))
def test_scales_are_fp16_and_rows_of_any_size_survive(zero_points: ZeroPoints) -> None:
    matrix = torch.randn(4, 64, generator=torch.Generator().manual_seed(4))
    matrix *= torch.tensor([[1e-9], [1e-3], [1.0], [1e5]])
    blocks = round_matrix(matrix, BlockFormat(32, zero_points))
    assert blocks.steps.scales.dtype is torch.float16
    found = blocks.widened(64)
    error = (found - matrix).norm(dim=1) / matrix.norm(dim=1)
    assert (error[1:] < 0.15).all()
    assert not found[0].any()  # below what fp16 can tell from zero


@pytest.mark.parametrize("zero_points", list(ZeroPoints))
def test_a_last_block_may_be_short(zero_points: ZeroPoints) -> None:
    matrix = torch.randn(3, 48, generator=torch.Generator().manual_seed(3))
    blocks = round_matrix(matrix, BlockFormat(32, zero_points))
    assert blocks.steps.scales.shape == (3, 2)
    assert blocks.packed.shape == (3, 2, 16)
    assert blocks.widened(48).shape == (3, 48)
    assert not blocks.widened(64)[:, 48:].any()


def test_counts_of_blocks() -> None:
    assert [block_count(inputs, 32) for inputs in (1, 31, 32, 33, 64)] == [1, 1, 1, 2, 2]
