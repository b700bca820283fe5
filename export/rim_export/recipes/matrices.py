"""A matrix in a narrow format: int8 with one fp32 scale per row, int4 with one fp16 scale per block.

int4 is symmetric, in blocks along the input; each block has the scale with the least squared error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from rim_export.recipes.rows import SMALLEST

LEVELS = 127
_ROWS_AT_ONCE = 8192


def row_scales(matrix: torch.Tensor) -> torch.Tensor:
    """Return the symmetric scale of each row, fp32 [rows]: absmax / 127."""
    chunks = [chunk.float().abs().amax(dim=1) for chunk in torch.split(matrix, _ROWS_AT_ONCE)]
    return torch.cat(chunks).clamp_min(SMALLEST) / LEVELS


def quantize_rows(matrix: torch.Tensor) -> torch.Tensor:
    """Return a matrix in int8, its rows at their `row_scales`."""
    scales = row_scales(matrix)[:, None]
    parts = zip(torch.split(matrix, _ROWS_AT_ONCE), torch.split(scales, _ROWS_AT_ONCE), strict=True)
    return torch.cat([(part.float() / scale).round().to(torch.int8) for part, scale in parts])


LOWEST, HIGHEST = -8, 7
DIVISORS = (7.0, 7.4, 7.8, 8.2, 8.7, 9.3, 10.0)
"""The scales tried are a block's absmax divided by these. Above 7 the block's largest values are clipped."""
LEAST_SCALE = 2.0**-24
"""The smallest fp16 number: an all-zero block stays zero instead of dividing by zero."""
_VALUES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Blocks:
    """A matrix [out, in] in int4."""

    values: torch.Tensor
    """int8 within -8..7, [out, blocks, block size]; zero beyond the input's end."""
    scales: torch.Tensor
    """fp16 [out, blocks], all above 0."""

    def widened(self, inputs: int) -> torch.Tensor:
        """Return the matrix in fp32, [out, in]."""
        return (self.values * self.scales.float()[:, :, None]).flatten(1)[:, :inputs]


@dataclass(frozen=True, eq=False)
class BlockSource:
    """Quantizes matrices to int4. Scales are searched once and kept (1.7B: 22 MB; in blocks of 32: 88 MB)."""

    block_size: int
    """Values that share a scale."""
    found: dict[str, torch.Tensor] = field(default_factory=dict)
    """Scales found so far, by the weight's name."""

    def scales(self, name: str, read: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the scales of one weight, fp16 [out, blocks]."""
        if name not in self.found:
            self.found[name] = block_scales(read(), self.block_size)
        return self.found[name]

    def blocks(self, name: str, read: Callable[[], torch.Tensor]) -> Blocks:
        """Return one weight in int4."""
        return quantize_blocks(read(), self.scales(name, read), self.block_size)


def block_count(inputs: int, block_size: int) -> int:
    """Return how many blocks an input of this width has; the last may be shorter."""
    return -(-inputs // block_size)


def block_scales(matrix: torch.Tensor, block_size: int) -> torch.Tensor:
    """Return each block's scale, fp16 [out, blocks]: of those tried, the one with the least squared error."""
    rows = max(1, _VALUES_AT_ONCE // matrix.shape[1])
    return torch.cat([_best_scales(_cut(part, block_size)) for part in torch.split(matrix, rows)])


def quantize_blocks(matrix: torch.Tensor, scales: torch.Tensor, block_size: int) -> Blocks:
    """Return a matrix [out, in] in int4 at these scales."""
    rows = max(1, _VALUES_AT_ONCE // matrix.shape[1])
    parts = zip(torch.split(matrix, rows), torch.split(scales, rows), strict=True)
    return Blocks(torch.cat([_rounded(_cut(part, block_size), scale) for part, scale in parts]).char(), scales)


def _cut(matrix: torch.Tensor, block_size: int) -> torch.Tensor:
    """[out, in] to fp32 [out, blocks, block size], zeros beyond the end."""
    count = block_count(matrix.shape[1], block_size)
    padded = torch.nn.functional.pad(matrix.float(), (0, count * block_size - matrix.shape[1]))
    return padded.reshape(-1, count, block_size)


def _rounded(blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return (blocks / scales.float()[:, :, None]).round_().clamp_(LOWEST, HIGHEST)


def _best_scales(blocks: torch.Tensor) -> torch.Tensor:
    peaks = blocks.abs().amax(dim=2)
    best = torch.full_like(peaks, torch.inf)
    found = torch.full_like(peaks, LEAST_SCALE, dtype=torch.float16)
    for divisor in DIVISORS:
        scales = (peaks / divisor).half().clamp_(LEAST_SCALE, torch.finfo(torch.float16).max)
        error = (_rounded(blocks, scales).mul_(scales.float()[:, :, None]).sub_(blocks) ** 2).sum(dim=2)
        better = error < best
        best, found = torch.where(better, error, best), torch.where(better, scales, found)
    return found
