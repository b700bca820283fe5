"""Matrices in int8 against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from rim_export.recipes.matrices import INT8_ROWS


def test_rows_in_int8_by_hand() -> None:
    matrix = torch.tensor([[127.0, -63.4, 0.6], [-0.5, 0.25, 0.0], [0.0, 0.0, 0.0]])
    assert INT8_ROWS.row_scales(matrix).tolist() == pytest.approx([1.0, 0.5 / 127, 0.0], abs=1e-9)
    assert INT8_ROWS.row_scales(matrix)[2] > 0
    found = INT8_ROWS.quantize(matrix).numbers
    assert found.tolist() == [[127, -63, 1], [-127, 64, 0], [0, 0, 0]]  # 63.5 goes to the even 64
