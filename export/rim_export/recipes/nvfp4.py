"""NVFP4 weight-only, an experiment for sm_120: E2M1 in blocks of 16 along the input, with scales in E4M3.

    y = MatMul(x, DQ(W, DQ(block scales, s), axis 0, block_size 16))      s = largest block scale / 448, fp32

A weight is E2M1 value × E4M3 block scale × s. All operators are standard, but no CPU engine has kernels for E2M1:
certification/torch_engine.py computes the certificate's answers. Such a graph has not yet been run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch
from rim_runtime.bundle.manifest import Dialect, Precision

from rim_export.graph.convert import UnboundGraph
from rim_export.graph.edit import insert, lazy, lazy_initializer, static_shape
from rim_export.recipes.blocks import block_count
from rim_export.recipes.initializers import bind_tensor
from rim_export.recipes.matrices import FP8_ROWS, SMALLEST
from rim_export.recipes.recipe import Recipe, Rewriter
from rim_export.recipes.tables import SOURCE_TABLE
from rim_export.weights.model_weights import ModelWeights, as_array

BLOCK = 16
LARGEST = 6.0
"""The largest E2M1 number."""


@dataclass(frozen=True)
class Nvfp4:
    """A matrix [out, in] in NVFP4."""

    values: np.ndarray
    """E2M1 as float4_e2m1fn, [out, blocks, 16]; zero beyond the input's end."""
    scales: torch.Tensor
    """Block scales, float8_e4m3fn [out, blocks]."""
    scale: torch.Tensor
    """The scale of the block scales, fp32 []."""

    def widened(self, inputs: int) -> torch.Tensor:
        """Return the matrix in fp32, [out, in]."""
        values = torch.from_numpy(self.values.astype(np.float32))
        return (values * (self.scales.float() * self.scale)[:, :, None]).flatten(1)[:, :inputs]


def quantize_matrix(matrix: torch.Tensor) -> Nvfp4:
    """Return a matrix [out, in] in NVFP4: block scales by absmax, rounded, then the values at these scales."""
    inputs = matrix.shape[1]
    blocks = torch.nn.functional.pad(matrix.float(), (0, -inputs % BLOCK)).reshape(len(matrix), -1, BLOCK)
    wanted = blocks.abs().amax(dim=2).clamp_min(SMALLEST) / LARGEST
    scale = wanted.max() / FP8_ROWS.largest
    scales = (wanted / scale).clamp_min(2.0**-9).to(torch.float8_e4m3fn)  # E4M3's smallest number: no scale is 0
    unit = (blocks / (scales.float() * scale)[:, :, None]).clamp_(-LARGEST, LARGEST)
    return Nvfp4(unit.numpy().astype(ml_dtypes.float4_e2m1fn), scales, scale)


def emulate_nvfp4(name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the product as the NVFP4 graph computes it, [..., in] and [out, in] to [..., out]."""
    del name
    return activations @ quantize_matrix(weight).widened(weight.shape[1]).T


def _products(unbound: UnboundGraph, weights: ModelWeights) -> Rewriter:
    """Return the function that writes the products of one graph."""

    def rewrite(node: ir.Node, activation: ir.Value, weight: ir.Value) -> ir.Value:
        wide = _dequantized(unbound, partial(weights.read, str(weight.name)), node, weight)
        return insert(node, "MatMul", [activation, wide], f"{node.outputs[0].name}_nvfp4")

    return rewrite


NVFP4 = Recipe(Precision.NVFP4, Dialect.PORTABLE, _products, SOURCE_TABLE, emulate_nvfp4)


def _dequantized(
    unbound: UnboundGraph, read: Callable[[], torch.Tensor], before: ir.Node, weight: ir.Value
) -> ir.Value:
    graph, name = unbound.model.graph, str(weight.name)
    inputs, outputs = static_shape(weight)
    bind_tensor(unbound, name, lambda: _values(quantize_matrix(read()), inputs), ir.DataType.FLOAT4E2M1)
    narrow = ir.Value(
        name=f"{name}_block_scales",
        shape=ir.Shape([block_count(inputs, BLOCK), outputs]),
        type=ir.TensorType(ir.DataType.FLOAT8E4M3FN),
    )
    narrow.const_value = lazy(
        str(narrow.name), lambda: as_array(quantize_matrix(read()).scales.T), *_type_and_shape(narrow)
    )
    graph.register_initializer(narrow)
    scale = lazy_initializer(graph, f"{name}_scale", lambda: quantize_matrix(read()).scale.numpy(), [])
    scales = insert(before, "DequantizeLinear", [narrow, scale], f"{name}_scales")
    blocks = {"axis": 0, "block_size": BLOCK}
    return insert(before, "DequantizeLinear", [weight, scales], f"{name}_dq", blocks)


def _values(matrix: Nvfp4, inputs: int) -> np.ndarray:
    """Return the values as [in, out]."""
    return np.ascontiguousarray(matrix.values.reshape(len(matrix.values), -1)[:, :inputs].T)


def _type_and_shape(value: ir.Value) -> tuple[ir.DataType, tuple[int, ...]]:
    assert value.dtype is not None
    return value.dtype, static_shape(value)
