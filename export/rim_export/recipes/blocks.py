"""A matrix in int4, in blocks along its input: codes of four bits, and for each block a scale and a zero point.

    weight = (code - zero point) × scale        code 0..15, zero point 0..15, scale fp16

A zero point of 8 everywhere is symmetric int4 (-8..7), the only kind that TensorRT takes. With a zero point of its
own, a block spends all sixteen codes on the range that its weights have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import torch

HIGHEST = 15
"""The largest code, and the largest zero point."""
MIDDLE = 8
"""The zero point of symmetric blocks."""
LEAST_SCALE = 2.0**-24
"""The smallest fp16 number: an all-zero block stays zero instead of dividing by zero."""
_LARGEST_SCALE = float(torch.finfo(torch.float16).max)
_DIVISORS = (7.0, 7.4, 7.8, 8.2, 8.7, 9.3, 10.0)
"""Symmetric scales that are tried: the block's absmax divided by these. Above 7, the largest are clipped."""
_SHARES = (1.0, 0.98, 0.96, 0.94, 0.92, 0.9, 0.87, 0.84, 0.8)
"""Ranges that are tried with a zero point: these shares of the block's own. Below 1, both ends are clipped."""
_VALUES_AT_ONCE = 1 << 18


class ZeroPoints(Enum):
    """Which zero points blocks may have."""

    MIDDLE = "middle"
    """8 everywhere: symmetric."""
    OWN = "own"
    """Each block's own: asymmetric."""


@dataclass(frozen=True)
class BlockFormat:
    """How matrices are cut into blocks."""

    size: int
    """Weights of a block."""
    zero_points: ZeroPoints
    """Its zero points."""


@dataclass(frozen=True)
class Steps:
    """The numbers that the blocks of a matrix can hold."""

    scales: torch.Tensor
    """fp16 [out, blocks], all above 0."""
    zeros: torch.Tensor
    """uint8 within 0..15, [out, blocks]."""


@dataclass(frozen=True)
class Blocks:
    """A matrix [out, in] in int4."""

    packed: torch.Tensor
    """Two codes a byte, the first in the low bits: uint8 [out, blocks, block size / 2]; beyond the input's end
    the zero point, which stands for 0."""
    steps: Steps
    """Its scales and zero points."""

    @property
    def codes(self) -> torch.Tensor:
        """The codes, uint8 [out, blocks, block size]."""
        return torch.stack([self.packed & 15, self.packed >> 4], dim=-1).flatten(-2)

    def widened(self, inputs: int) -> torch.Tensor:
        """Return the matrix in fp32, [out, in]."""
        return widen(self.codes, self.steps).flatten(1)[:, :inputs]


def widen(codes: torch.Tensor, steps: Steps) -> torch.Tensor:
    """Return the weights, fp32, of codes [out, blocks, block size] of any type."""
    return (codes.float() - steps.zeros.float()[:, :, None]) * steps.scales.float()[:, :, None]


def pack(codes: torch.Tensor, steps: Steps) -> Blocks:
    """Return blocks from codes [out, blocks, block size]."""
    narrow = codes.to(torch.uint8)
    return Blocks(narrow[..., 0::2] | (narrow[..., 1::2] << 4), steps)


def block_count(inputs: int, size: int) -> int:
    """Return how many blocks an input of this width has; the last may be shorter."""
    return -(-inputs // size)


def cut(matrix: torch.Tensor, size: int) -> torch.Tensor:
    """Return a matrix [out, in] as fp32 [out, blocks, block size], zeros beyond the input's end."""
    count = block_count(matrix.shape[1], size)
    padded = torch.nn.functional.pad(matrix.float(), (0, count * size - matrix.shape[1]))
    return padded.reshape(-1, count, size)


def round_to(blocks: torch.Tensor, steps: Steps) -> torch.Tensor:
    """Return the nearest codes, fp32 within 0..15, of weights [out, blocks, block size]."""
    unit = blocks / steps.scales.float()[:, :, None] + steps.zeros.float()[:, :, None]
    return unit.round_().clamp_(0, HIGHEST)


def round_matrix(matrix: torch.Tensor, form: BlockFormat) -> Blocks:
    """Return a matrix [out, in] in int4 by rounding to the nearest code, nothing compensated."""
    return round_to_steps(matrix, form, search_steps(matrix, form))


def round_to_steps(matrix: torch.Tensor, form: BlockFormat, steps: Steps) -> Blocks:
    """Return a matrix [out, in] in int4 by rounding to the nearest codes of known scales and zero points."""
    return pack(round_to(cut(matrix, form.size), steps), steps)


def search_steps(matrix: torch.Tensor, form: BlockFormat, importance: torch.Tensor | None = None) -> Steps:
    """Return each block's scale and zero point: of those tried, the pair with the least squared error.

    `importance` [in], at least 0, weighs the squared errors of the columns; None weighs all alike.
    """
    weight = torch.ones(matrix.shape[1]) if importance is None else importance
    weights = cut(weight[None], form.size)
    rows = max(1, _VALUES_AT_ONCE // matrix.shape[1])
    parts = [_best_steps(cut(part, form.size), weights, form.zero_points) for part in torch.split(matrix, rows)]
    return Steps(torch.cat([part.scales for part in parts]), torch.cat([part.zeros for part in parts]))


def _best_steps(blocks: torch.Tensor, weights: torch.Tensor, zero_points: ZeroPoints) -> Steps:
    least = torch.full(blocks.shape[:2], torch.inf)
    scales = torch.full(blocks.shape[:2], LEAST_SCALE, dtype=torch.float16)
    zeros = torch.full(blocks.shape[:2], MIDDLE, dtype=torch.uint8)
    tried = _symmetric(blocks) if zero_points is ZeroPoints.MIDDLE else _asymmetric(blocks)
    for steps in tried:
        error = (widen(round_to(blocks, steps), steps).sub_(blocks).square_() * weights).sum(dim=2)
        better = error < least
        least = torch.where(better, error, least)
        scales, zeros = torch.where(better, steps.scales, scales), torch.where(better, steps.zeros, zeros)
    return Steps(scales, zeros)


def _symmetric(blocks: torch.Tensor) -> Iterator[Steps]:
    peaks = blocks.abs().amax(dim=2)
    zeros = torch.full(peaks.shape, MIDDLE, dtype=torch.uint8)
    for divisor in _DIVISORS:
        yield Steps(_as_scales(peaks / divisor), zeros)


def _asymmetric(blocks: torch.Tensor) -> Iterator[Steps]:
    low, high = blocks.amin(dim=2).clamp_max(0), blocks.amax(dim=2).clamp_min(0)
    for share in _SHARES:
        scales = _as_scales((high - low) * share / HIGHEST)
        exact = -low * share / scales.float()
        for zeros in (exact.floor(), exact.ceil()):
            yield Steps(scales, zeros.clamp_(0, HIGHEST).to(torch.uint8))


def _as_scales(wanted: torch.Tensor) -> torch.Tensor:
    return wanted.clamp(LEAST_SCALE, _LARGEST_SCALE).half()
