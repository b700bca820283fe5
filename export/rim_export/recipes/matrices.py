"""A matrix in int8, with one fp32 scale per row."""

from __future__ import annotations

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
