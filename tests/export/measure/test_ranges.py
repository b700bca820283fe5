"""What activations reach, counted as they pass."""

from __future__ import annotations

import pytest
import torch
from rim_export.measure.ranges import Reach
from rim_export.recipes.fp8 import round_range
from rim_export.settings import RangeMethod


def reach_of(*parts: torch.Tensor) -> Reach:
    reach = Reach()
    for part in parts:
        reach.add(part)
    return reach


def to_eight_levels(values: torch.Tensor, reach: float) -> torch.Tensor:
    """A coarse integer format: clipping pays."""
    step = reach / 8
    return (values / step).round().clamp(-8, 8) * step


VALUES = torch.randn(2, 500, 64, generator=torch.Generator().manual_seed(0))


def test_parts_count_like_the_whole() -> None:
    whole, parts = reach_of(VALUES), reach_of(VALUES[:1], VALUES[1:])
    for method in RangeMethod:
        assert whole.range(method, round_range) == parts.range(method, round_range)
    assert torch.equal(whole.channels, VALUES.abs().amax(dim=(0, 1)))
    assert whole.range(RangeMethod.MAX, round_range) == float(VALUES.abs().max())


def test_percentile_is_the_quantile_to_a_bin() -> None:
    found = reach_of(VALUES).range(RangeMethod.PERCENTILE, round_range)
    assert found == pytest.approx(float(VALUES.abs().flatten().quantile(0.9999)), rel=0.03)


def test_mse_clips_outliers_of_a_coarse_format() -> None:
    outlier = VALUES.clone()
    outlier[0, 0, 0] = 50.0
    found = reach_of(outlier).range(RangeMethod.MSE, to_eight_levels)
    assert 2 < found < 10
    errors = {r: float(((to_eight_levels(outlier, r) - outlier) ** 2).sum()) for r in (50.0, found)}
    assert errors[found] < errors[50.0]


def test_nothing_and_no_numbers() -> None:
    empty = reach_of(torch.zeros(1, 3, 4))
    assert [empty.range(method, round_range) for method in RangeMethod] == [0.0, 0.0, 0.0]
    assert empty.is_finite
    assert not reach_of(torch.tensor([[1.0, torch.inf]])).is_finite
    assert not reach_of(torch.tensor([[1.0, torch.nan]])).is_finite
