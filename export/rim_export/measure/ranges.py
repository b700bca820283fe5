"""The ranges of activations: absolute values are counted in a histogram, from which a range is chosen.

A value's bin is the first 14 bits after the sign (8 of exponent, 6 of mantissa). Bins are at most 1.6 % wide,
whatever the scale of an activation, so one pass suffices; the bins of exponent 255 are infinity and NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from rim_export.settings import RangeMethod

_BITS = 17
"""Mantissa bits that a bin leaves out."""
_BINS = 1 << 14
_NOT_FINITE = 255 << 6
QUANTILE = 0.9999
_TRIED = 17
"""Number of ranges that `mse` tries: the largest absolute value, then each smaller by a factor of √2."""
Rounding = Callable[[torch.Tensor, float], torch.Tensor]
"""(values, range) to the values after rounding to a number format with that range."""


class Reach:
    """The measured values of one activation."""

    def __init__(self) -> None:
        self._counts = torch.zeros(_BINS, dtype=torch.int64)
        self._channels = torch.zeros(1)

    def add(self, activations: torch.Tensor) -> None:
        """Count activations fp32 [..., in]."""
        sizes = activations.abs()
        bins = sizes.contiguous().view(torch.int32) >> _BITS
        self._counts += torch.bincount(bins.flatten(), minlength=_BINS)
        self._channels = torch.maximum(self._channels, sizes.flatten(0, -2).amax(dim=0))

    @property
    def channels(self) -> torch.Tensor:
        """The largest absolute value in each input channel, fp32 [in]."""
        return self._channels

    @property
    def largest(self) -> float:
        """The largest absolute value."""
        return float(self._channels.max())

    @property
    def is_finite(self) -> bool:
        """Whether all activations were finite."""
        return not self._counts[_NOT_FINITE:].any()

    def range(self, method: RangeMethod, rounding: Rounding) -> float:
        """Return the range of this activation; `rounding` is that of the number format."""
        if method is RangeMethod.MAX or not self.largest:
            return self.largest
        if method is RangeMethod.PERCENTILE:
            return self._quantile()
        tried = [self.largest * 2 ** (-step / 2) for step in range(_TRIED)]
        return min(tried, key=lambda reach: self._squared_error(reach, rounding))

    def _quantile(self) -> float:
        below = self._counts.cumsum(0)
        first = int(torch.searchsorted(below, int(QUANTILE * int(below[-1]))))
        return min(float(_sizes(torch.tensor([first + 1]))), self.largest)

    def _squared_error(self, reach: float, rounding: Rounding) -> float:
        (bins,) = self._counts.nonzero(as_tuple=True)
        sizes = _sizes(bins)
        return float((self._counts[bins] * (rounding(sizes, reach) - sizes).double() ** 2).sum())


def _sizes(bins: torch.Tensor) -> torch.Tensor:
    """Return the smallest absolute value in each bin, fp32."""
    return (bins.to(torch.int32) << _BITS).view(torch.float32)
