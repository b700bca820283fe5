"""GPTQ: round a matrix so that its products change least, not its weights (arXiv 2210.17323).

The inputs x that calibration saw have the second moments H = Σ x xᵀ. A rounding W + E changes the products by
tr(E H Eᵀ). Columns are rounded one after the other; each one's error is made up for, as far as their inputs go
together, by the columns that are still to come:

    e = (w_i - rounded w_i) / U_ii        w_j -= e × U_ij for j > i        H⁻¹ = Uᵀ U, U upper triangular

Three choices. Columns come in the order of falling H_ii, so that those that matter most are rounded first, while
many are left. Scales and zero points are chosen beforehand, on the columns in their own order, so that the order
of rounding leaves no trace in the form. A share of H's mean diagonal is added to it (damping), for inputs that
calibration hardly saw. If H is diagonal, this is rounding to the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from rim_export.recipes.blocks import HIGHEST, BlockFormat, Blocks, Steps, block_count, pack, search_steps
from rim_export.recipes.matrices import NarrowType, QuantizedRows

DAMPING = 0.01
"""Share of the mean of H's diagonal that is added to it; 3 and 10 % measured a little worse on SmolLM2."""
_COLUMNS_AT_ONCE = 256
"""Columns after which the rest of the matrix is brought up to date, in one product."""
_COLUMNS_OF_A_STEP = 16
"""Columns after which the rest of those is brought up to date: few, so that they stay in the cache."""

Round = Callable[[int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(number of a column, its weights fp32 [out]) to their codes, and to the weights that these stand for."""


@dataclass(frozen=True, eq=False)
class Feedback:
    """How the columns that are left make up for a column's error: some of the inputs, next to each other."""

    moments: torch.Tensor
    """The diagonal of H, fp32 [inputs]."""
    order: torch.Tensor
    """The order in which their columns are rounded, int64 [inputs]."""
    factor: torch.Tensor
    """U for that order, fp32 [inputs, inputs]."""

    @classmethod
    def of(cls, moments: torch.Tensor) -> Feedback:
        """Return it from H, fp32 [inputs, inputs]. Work grows with inputs³."""
        seen = moments.diagonal()
        order = torch.argsort(seen, descending=True, stable=True)
        return cls(seen.clone(), order, _inverse_factor(moments[order][:, order]))


def _inverse_factor(moments: torch.Tensor) -> torch.Tensor:
    """Return U, upper triangular, with Uᵀ U the inverse of the damped moments; fp32 [in, in].

    H = R Rᵀ with R upper triangular is a Cholesky factorization from the last row upwards, and U is R⁻¹.
    """
    damped = moments.double()
    damping = DAMPING * float(damped.diagonal().mean())
    damped.diagonal().add_(damping if damping > 0 else 1.0)
    upwards = torch.linalg.cholesky(damped.flip(0, 1)).flip(0, 1)
    one = torch.eye(len(damped), dtype=damped.dtype)
    factor: torch.Tensor = torch.linalg.solve_triangular(upwards, one, upper=True)
    return factor.float()


def compensate_blocks(matrix: torch.Tensor, feedback: Sequence[Feedback], form: BlockFormat) -> Blocks:
    """Return a matrix [out, in] in int4, in blocks, by its inputs' feedback, which together cover all inputs.

    Scales and zero points are searched for, weighed by H's diagonal. Work grows with out × in² of each feedback.
    The same numbers come out on the same machine with as many threads; others sum in another order, so that a
    weight half way between two codes may be rounded the other way.
    """
    steps = search_steps(matrix, form, torch.cat([part.moments for part in feedback]))
    scales, zeros = steps.scales.T.float(), steps.zeros.T.float()

    def nearest(column: int, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale, zero = scales[column // form.size], zeros[column // form.size]
        codes = (weights / scale + zero).round_().clamp_(0, HIGHEST)
        return codes, (codes - zero) * scale

    return pack(_in_blocks(_round_columns(matrix, feedback, nearest), steps, form.size), steps)


def compensate_rows(matrix: torch.Tensor, feedback: Sequence[Feedback], kind: NarrowType) -> QuantizedRows:
    """Return a matrix [out, in] in a narrow type at its `row_scales`, as `compensate_blocks` does."""
    scales = kind.row_scales(matrix)

    def nearest(_: int, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        codes = kind.numbers(weights / scales)
        return codes, codes * scales

    return QuantizedRows(_round_columns(matrix, feedback, nearest).to(kind.torch_dtype), scales)


def _round_columns(matrix: torch.Tensor, feedback: Sequence[Feedback], nearest: Round) -> torch.Tensor:
    """Return the codes, fp32 [out, in], of a matrix [out, in]."""
    codes = torch.empty(matrix.shape, dtype=torch.float32)
    start = 0
    for part in feedback:
        end = start + len(part.order)
        columns = part.order + start
        ordered = matrix[:, start:end].float()[:, part.order].T.contiguous()
        codes[:, columns] = _round_ordered(ordered, part.factor, columns.tolist(), nearest).T
        start = end
    return codes


def _round_ordered(left: torch.Tensor, factor: torch.Tensor, columns: list[int], nearest: Round) -> torch.Tensor:
    """Return the codes, fp32 [in, out], of a matrix [in, out] in the order of rounding, which changes it."""
    codes = torch.empty_like(left)
    errors = torch.empty_like(left)
    count = len(left)
    for start in range(0, count, _COLUMNS_AT_ONCE):
        end = min(start + _COLUMNS_AT_ONCE, count)
        for first in range(start, end, _COLUMNS_OF_A_STEP):
            last = min(first + _COLUMNS_OF_A_STEP, end)
            for row in range(first, last):
                codes[row], rounded = nearest(columns[row], left[row])
                torch.sub(left[row], rounded, out=errors[row]).div_(factor[row, row])
                left[row + 1 : last].addr_(factor[row, row + 1 : last], errors[row], alpha=-1)
            left[last:end].addmm_(factor[first:last, last:end].T, errors[first:last], alpha=-1)
        left[end:].addmm_(factor[start:end, end:].T, errors[start:end], alpha=-1)
    return codes


def _in_blocks(codes: torch.Tensor, steps: Steps, size: int) -> torch.Tensor:
    """Return codes [out, in] as [out, blocks, block size]; beyond the input's end, the zero point."""
    inputs = codes.shape[1]
    count = block_count(inputs, size)
    whole = steps.zeros[:, :, None].expand(-1, -1, size).flatten(1).clone()
    whole[:, :inputs] = codes
    return whole.view(-1, count, size)
