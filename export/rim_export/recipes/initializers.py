"""Bind initializers to their values: lazy tensors that are read, converted and written one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir
import torch

from rim_export.graph.convert import UnboundGraph
from rim_export.graph.edit import insert, lazy, lazy_initializer, static_shape
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


@dataclass(frozen=True)
class WeightForm:
    """How a recipe stores a matrix: a narrow type with one fp32 scale per output channel."""

    dtype: ir.DataType
    """The narrow type."""
    rows: Callable[[torch.Tensor], torch.Tensor]
    """Returns a matrix [out, in] in that type, at its scales."""
    scales: Callable[[torch.Tensor], torch.Tensor]
    """Returns its scales, fp32 [out]."""


def dequantized_weight(
    unbound: UnboundGraph, weights: ModelWeights, before: ir.Node, weight: ir.Value, form: WeightForm
) -> ir.Value:
    """Bind a weight [in, out] in a narrow form and return it dequantized."""
    name, channels = str(weight.name), static_shape(weight)[1]
    bind_tensor(unbound, name, lambda: as_array(form.rows(weights.read(name)).T), form.dtype)
    scale = lazy_initializer(
        unbound.model.graph, f"{name}_scale", lambda: as_array(form.scales(weights.read(name))), [channels]
    )
    return insert(before, "DequantizeLinear", [weight, scale], f"{name}_dq", {"axis": 1})
