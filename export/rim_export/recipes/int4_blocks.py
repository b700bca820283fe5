"""A matrix in int4: symmetric blocks along the input, each with an fp32 scale that its values err least at."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rim_export.recipes.rows import SMALLEST

LOWEST, HIGHEST = -8, 7
DIVISORS = (7.0, 7.4, 7.8, 8.2, 8.7, 9.3, 10.0)
"""Scales that are tried: a block's absmax divided by these. Beyond 7 the block's largest values are clipped."""
_VALUES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Blocks:
    """A matrix [out, in] in int4."""

    values: torch.Tensor
    """int8 within -8..7, [out, blocks, block size]; zero behind the input's end."""
    scales: torch.Tensor
    """fp32 [out, blocks], all above 0."""

    def widened(self, inputs: int) -> torch.Tensor:
        """Return the matrix in fp32, [out, in]."""
        return (self.values * self.scales[:, :, None]).flatten(1)[:, :inputs]


def block_count(inputs: int, block_size: int) -> int:
    """Return how many blocks an input of this width has; the last may be shorter."""
    return -(-inputs // block_size)


def block_scales(matrix: torch.Tensor, block_size: int) -> torch.Tensor:
    """Return each block's scale, fp32 [out, blocks]: of the tried ones, that of the least squared error."""
    rows = max(1, _VALUES_AT_ONCE // matrix.shape[1])
    return torch.cat([_best_scales(_cut(part, block_size)) for part in torch.split(matrix, rows)])


def quantize_blocks(matrix: torch.Tensor, scales: torch.Tensor, block_size: int) -> Blocks:
    """Return a matrix [out, in] in int4 at these scales."""
    rows = max(1, _VALUES_AT_ONCE // matrix.shape[1])
    parts = zip(torch.split(matrix, rows), torch.split(scales, rows), strict=True)
    return Blocks(torch.cat([_rounded(_cut(part, block_size), scale) for part, scale in parts]).char(), scales)


def _cut(matrix: torch.Tensor, block_size: int) -> torch.Tensor:
    """[out, in] to fp32 [out, blocks, block size], zeros behind the end."""
    count = block_count(matrix.shape[1], block_size)
    padded = torch.nn.functional.pad(matrix.float(), (0, count * block_size - matrix.shape[1]))
    return padded.reshape(-1, count, block_size)


def _rounded(blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return (blocks / scales[:, :, None]).round_().clamp_(LOWEST, HIGHEST)


def _best_scales(blocks: torch.Tensor) -> torch.Tensor:
    peaks = blocks.abs().amax(dim=2).clamp_min(SMALLEST)
    best = torch.full_like(peaks, torch.inf)
    found = peaks / HIGHEST
    for divisor in DIVISORS:
        scales = peaks / divisor
        error = (_rounded(blocks, scales).mul_(scales[:, :, None]).sub_(blocks) ** 2).sum(dim=2)
        better = error < best
        best, found = torch.where(better, error, best), torch.where(better, scales, found)
    return found
