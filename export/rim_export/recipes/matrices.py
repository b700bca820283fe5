"""A matrix in rows of a narrow type, with one fp32 scale per row (output channel)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir
import torch

from rim_export.weights.model_weights import JOINT

SMALLEST = 1e-12
"""Floor of a row's absmax: an all-zero row stays zero instead of dividing by zero."""
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class NarrowType:
    """A number format whose numbers are used at a scale, for rows of weights or of activations."""

    name: str
    """Prefix of its constants in a graph."""
    dtype: ir.DataType
    """Its type in a graph."""
    torch_dtype: torch.dtype
    """The same in torch."""
    largest: int
    """Its largest number."""

    def numbers(self, values: torch.Tensor) -> torch.Tensor:
        """Return the format's numbers nearest to values, fp32 in and out; beyond the largest, the largest."""
        values = values.clamp(-self.largest, self.largest)
        return values.to(self.torch_dtype).float() if self.torch_dtype.is_floating_point else values.round()

    def row_scales(self, matrix: torch.Tensor) -> torch.Tensor:
        """Return the symmetric scale of each row, fp32 [rows]: absmax / largest."""
        chunks = [chunk.float().abs().amax(dim=1) for chunk in torch.split(matrix, _ROWS_AT_ONCE)]
        return torch.cat(chunks).clamp_min(SMALLEST) / self.largest

    def quantize(self, matrix: torch.Tensor) -> QuantizedRows:
        """Return a matrix [out, in] rounded to the nearest numbers, its rows at their `row_scales`."""
        scales = self.row_scales(matrix)
        parts = zip(torch.split(matrix, _ROWS_AT_ONCE), torch.split(scales, _ROWS_AT_ONCE), strict=True)
        narrow = [self.numbers(part.float() / scale[:, None]).to(self.torch_dtype) for part, scale in parts]
        return QuantizedRows(torch.cat(narrow), scales)


INT8_ROWS = NarrowType("int8", ir.DataType.INT8, torch.int8, 127)
"""Symmetric: -128 is left out."""
FP8_ROWS = NarrowType("fp8", ir.DataType.FLOAT8E4M3FN, torch.float8_e4m3fn, 448)
"""E4M3 without infinities."""


@dataclass(frozen=True, eq=False)
class QuantizedRows:
    """A matrix [out, in] in a narrow type."""

    numbers: torch.Tensor
    """[out, in], of that type."""
    scales: torch.Tensor
    """fp32 [out]."""

    def widened(self) -> torch.Tensor:
        """Return the matrix in fp32, [out, in]."""
        return self.numbers.float() * self.scales[:, None]


@dataclass(frozen=True, eq=False)
class RowMatrices:
    """A checkpoint's matrices in a narrow type."""

    kind: NarrowType
    """The type."""
    compensated: Mapping[str, QuantizedRows] = field(default_factory=dict)
    """Those whose errors calibration made up for (recipes/gptq.py); others are rounded to the nearest."""

    def rows(self, name: str, read: Callable[[str], torch.Tensor]) -> QuantizedRows:
        """Return a matrix by its name, which may join several; `read` gives one [out, in], if it is needed."""
        parts = [self._one(part, read) for part in name.split(JOINT)]
        if len(parts) == 1:
            return parts[0]
        return QuantizedRows(
            torch.cat([part.numbers for part in parts]), torch.cat([part.scales for part in parts])
        )

    def _one(self, name: str, read: Callable[[str], torch.Tensor]) -> QuantizedRows:
        found = self.compensated.get(name)
        return self.kind.quantize(read(name)) if found is None else found
