"""Bind initializers to their values: lazy tensors that are read, converted and written one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import onnx_ir as ir
import torch

from rim_export.graph.convert import UnboundGraph
from rim_export.graph.edit import insert, lazy, lazy_initializer, static_shape
from rim_export.recipes.matrices import QuantizedRows, RowMatrices
from rim_export.weights.model_weights import ModelWeights, as_array


def bind_vectors(unbound: UnboundGraph, weights: ModelWeights) -> None:
    """Bind the norm gains in fp32."""
    for name in unbound.vectors:
        bind_tensor(unbound, name, partial(_wide_vector, weights, name))


def bind_matrices(unbound: UnboundGraph, weights: ModelWeights, names: frozenset[str]) -> None:
    """Bind these matrices in fp32, [in, out]."""
    for name in names:
        bind_tensor(unbound, name, partial(_wide_matrix, weights, name))


def _wide_matrix(weights: ModelWeights, name: str) -> np.ndarray:
    return as_array(weights.read(name).float().T)


def _wide_vector(weights: ModelWeights, name: str) -> np.ndarray:
    return as_array(weights.read(name).float())


def bind_tensor(
    unbound: UnboundGraph,
    name: str,
    read: Callable[[], np.ndarray],
    dtype: ir.DataType = ir.DataType.FLOAT,
    shape: Sequence[int] | None = None,
) -> None:
    """Bind the initializer `name` to a value that is computed when it is written, and not kept.

    `shape` None keeps its shape.
    """
    value = unbound.model.graph.initializers[name]
    value.type = ir.TensorType(dtype)
    value.shape = value.shape if shape is None else ir.Shape(shape)
    value.const_value = lazy(name, read, dtype, static_shape(value))


class NarrowMatrix:
    """A matrix in a narrow type, computed when it is written; of its two tensors, the small one is kept.

    Reading a matrix of a rotated model takes longer than rounding it, and it would be read again for its scales.
    """

    def __init__(self, quantize: Callable[[], QuantizedRows]) -> None:
        self._quantize = quantize
        self._scales: torch.Tensor | None = None

    def numbers(self) -> torch.Tensor:
        """Return the matrix [out, in] in the narrow type."""
        found = self._quantize()
        self._scales = found.scales
        return found.numbers

    def scales(self) -> torch.Tensor:
        """Return its scales, fp32 [out]; the matrix is read for them only if it was not written before."""
        return self._quantize().scales if self._scales is None else self._scales


def dequantized_weight(
    unbound: UnboundGraph, weights: ModelWeights, before: ir.Node, weight: ir.Value, matrices: RowMatrices
) -> ir.Value:
    """Bind a weight [in, out] in a narrow type and return it dequantized."""
    name, channels = str(weight.name), static_shape(weight)[1]
    narrow = NarrowMatrix(partial(matrices.rows, name, weights.read))
    bind_tensor(unbound, name, lambda: as_array(narrow.numbers().T), matrices.kind.dtype)
    scale = lazy_initializer(unbound.model.graph, f"{name}_scale", lambda: as_array(narrow.scales()), [channels])
    return insert(before, "DequantizeLinear", [weight, scale], f"{name}_dq", {"axis": 1})
