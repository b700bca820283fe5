"""GPTQ: round a matrix to int4 so that its products change least, not its weights (arXiv 2210.17323).

The inputs x that calibration saw have the second moments H = Σ x xᵀ. A rounding W + E changes the products by
tr(E H Eᵀ). Columns are rounded one after the other; each one's error is made up for, as far as their inputs go
together, by the columns that are still to come:

    e = (w_i - rounded w_i) / U_ii        w_j -= e × U_ij for j > i        H⁻¹ = Uᵀ U, U upper triangular

Three choices. Columns come in the order of falling H_ii, so that those that matter most are rounded first, while
many are left. Scales and zero points are searched for beforehand, on the blocks in their own order and weighed by
H_ii, so that the order of rounding leaves no trace in the form. A share of H's mean diagonal is added to it
(damping), for inputs that calibration hardly saw. If H is diagonal, this is rounding to the nearest.
"""

from __future__ import annotations

import torch

from rim_export.recipes.blocks import BlockFormat, Blocks, Steps, block_count, pack, search_steps

DAMPING = 0.01
"""Share of the mean of H's diagonal that is added to it; 3 and 10 % measured a little worse on SmolLM2."""
_COLUMNS_AT_ONCE = 128
"""Columns after which the rest of the matrix is brought up to date, in one product."""


def compensate(matrix: torch.Tensor, moments: torch.Tensor, form: BlockFormat) -> Blocks:
    """Return a matrix [out, in] in int4, by the second moments of its inputs, fp32 [in, in].

    Work grows with in³ and out × in². The same numbers come out on the same machine with as many threads; others
    sum in another order, so that a weight half way between two codes may be rounded the other way.
    """
    seen = moments.diagonal()
    steps = search_steps(matrix, form, seen)
    order = torch.argsort(seen, descending=True, stable=True)
    factor = _inverse_factor(moments[order][:, order])
    ordered = _round_columns(matrix.float()[:, order].T.contiguous(), factor, _per_column(steps, order, form.size))
    codes = torch.empty_like(ordered)
    codes[order] = ordered
    return pack(_in_blocks(codes.T, steps, form.size), steps)


def _inverse_factor(moments: torch.Tensor) -> torch.Tensor:
    """Return U, upper triangular, with Uᵀ U the inverse of the damped moments; fp32 [in, in]."""
    damped = moments.double()
    damping = DAMPING * float(damped.diagonal().mean())
    damped.diagonal().add_(damping if damping > 0 else 1.0)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    factor: torch.Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor.float()


def _per_column(steps: Steps, order: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scale and the zero point of each weight, fp32 [in, out], columns in this order."""
    block = order // size
    return steps.scales.T.float()[block], steps.zeros.T.float()[block]


def _round_columns(
    left: torch.Tensor, factor: torch.Tensor, steps: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return the codes, uint8 [in, out], of a matrix [in, out], which is changed on the way."""
    scales, zeros = steps
    codes = torch.empty(left.shape, dtype=torch.uint8)
    for start in range(0, len(left), _COLUMNS_AT_ONCE):
        end = min(start + _COLUMNS_AT_ONCE, len(left))
        errors = torch.empty(end - start, left.shape[1])
        for column in range(start, end):
            scale, zero = scales[column], zeros[column]
            code = (left[column] / scale + zero).round_().clamp_(0, 15)
            codes[column] = code
            error = (left[column] - (code - zero) * scale) / factor[column, column]
            left[column + 1 : end].addr_(factor[column, column + 1 : end], error, alpha=-1)
            errors[column - start] = error
        left[end:].addmm_(factor[start:end, end:].T, errors, alpha=-1)
    return codes


def _in_blocks(codes: torch.Tensor, steps: Steps, size: int) -> torch.Tensor:
    """Return codes [out, in] as [out, blocks, block size]; beyond the input's end, the zero point."""
    inputs = codes.shape[1]
    count = block_count(inputs, size)
    whole = steps.zeros[:, :, None].expand(-1, -1, size).flatten(1).clone()
    whole[:, :inputs] = codes
    return whole.view(-1, count, size)
