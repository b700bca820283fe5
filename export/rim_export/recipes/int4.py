"""int4 weight-only, in blocks along the input, for machines with little memory.

    portable   y = MatMul(x, DequantizeLinear(W, scales, axis 0, block_size))
    ort        y = MatMulNBits(x, W, scales), ONNX Runtime's own operator, for its CPU engine

Both hold the same numbers: int4 within -8..7, zero point 0, one fp16 scale per block (matrices.py). The portable
form stores the scales in fp32, as initializers, because TensorRT requires that; the other stores them in fp16 and
widens them when it is loaded. ONNX Runtime rounds the activations of such products to int8, by blocks. The
embedding table is int4 too (tables.py). The letter readout stays in fp32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir
import torch
from rim_runtime.bundle.manifest import Dialect, Precision

from rim_export.graph.convert import UnboundGraph
from rim_export.graph.edit import insert, lazy_initializer, static_shape
from rim_export.recipes.initializers import bind_tensor
from rim_export.recipes.matrices import LEVELS, Blocks, BlockSource, block_count
from rim_export.recipes.recipe import Recipe, Rewriter
from rim_export.recipes.rows import SMALLEST
from rim_export.recipes.tables import bind_int4_table
from rim_export.weights.model_weights import ModelWeights, as_array

CONTRIB = "com.microsoft"
INT8_ACTIVATIONS = 4
"""`accuracy_level` of MatMulNBits: activations rounded to int8 by blocks, its fastest products."""
_ZERO = 8
"""The value that represents 0 in MatMulNBits' unsigned nibbles."""


def int4_recipes(block_size: int) -> tuple[Recipe, ...]:
    """Return the recipes of both dialects, ONNX Runtime's own first."""
    source = BlockSource(block_size)
    emulate = partial(emulate_int4, source)  # shared, so that layer errors are measured once
    forms = ((Dialect.ORT, _multiply_contrib), (Dialect.PORTABLE, _multiply_portable))
    return tuple(
        Recipe(Precision.INT4, dialect, partial(_products, source, multiply), bind_int4_table, emulate)
        for dialect, multiply in forms
    )


def emulate_int4(source: BlockSource, name: str, activations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the product as ONNX Runtime computes it, [..., in] and [out, in] to [..., out]."""
    wide = source.blocks(name, lambda: weight).widened(weight.shape[1])
    return round_activations(activations, source.block_size) @ wide.T


def round_activations(activations: torch.Tensor, block_size: int) -> torch.Tensor:
    """Return activations [..., in] after int8 and back, each block of a row at its own absmax / 127."""
    inputs = activations.shape[-1]
    padded = torch.nn.functional.pad(activations, (0, -inputs % block_size))
    blocks = padded.reshape(*padded.shape[:-1], -1, block_size)
    scales = blocks.abs().amax(dim=-1, keepdim=True).clamp_min(SMALLEST) / LEVELS
    return ((blocks / scales).round() * scales).flatten(-2)[..., :inputs]


@dataclass(frozen=True)
class _Product:
    """One MatMul to be rewritten."""

    unbound: UnboundGraph
    node: ir.Node
    activation: ir.Value
    weight: ir.Value
    block_size: int
    read_blocks: Callable[[], Blocks]
    read_scales: Callable[[], torch.Tensor]

    @property
    def name(self) -> str:
        return str(self.weight.name)

    @property
    def result(self) -> str:
        return f"{self.node.outputs[0].name}_int4"


def _products(
    source: BlockSource, multiply: Callable[[_Product], ir.Value], unbound: UnboundGraph, weights: ModelWeights
) -> Rewriter:
    """Return the function that writes the products of one graph in one of the two forms."""

    def rewrite(node: ir.Node, activation: ir.Value, weight: ir.Value) -> ir.Value:
        read = partial(weights.read, str(weight.name))
        blocks = partial(source.blocks, str(weight.name), read)
        scales = partial(source.scales, str(weight.name), read)
        return multiply(_Product(unbound, node, activation, weight, source.block_size, blocks, scales))

    return rewrite


def _multiply_portable(product: _Product) -> ir.Value:
    graph, node = product.unbound.model.graph, product.node
    inputs, outputs = static_shape(product.weight)
    values = partial(_signed_nibbles, product.read_blocks, inputs)
    bind_tensor(product.unbound, product.name, values, ir.DataType.INT4)
    scale = lazy_initializer(
        graph,
        f"{product.name}_scale",
        lambda: as_array(product.read_scales().float().T),
        [block_count(inputs, product.block_size), outputs],
    )
    attributes = {"axis": 0, "block_size": product.block_size}
    wide = insert(node, "DequantizeLinear", [product.weight, scale], f"{product.name}_dq", attributes)
    return insert(node, "MatMul", [product.activation, wide], product.result)


def _multiply_contrib(product: _Product) -> ir.Value:
    graph, size = product.unbound.model.graph, product.block_size
    inputs, outputs = static_shape(product.weight)
    count = block_count(inputs, size)
    values = partial(_unsigned_nibbles, product.read_blocks)
    bind_tensor(product.unbound, product.name, values, ir.DataType.UINT8, (outputs, count, size // 2))
    half = ir.DataType.FLOAT16
    stored = lazy_initializer(
        graph, f"{product.name}_scale", lambda: as_array(product.read_scales()), [outputs, count], half
    )
    scale = insert(product.node, "Cast", [stored], f"{product.name}_scale_fp32", {"to": ir.DataType.FLOAT.value})
    graph.opset_imports[CONTRIB] = 1
    attributes = {"K": inputs, "N": outputs, "bits": 4, "block_size": size, "accuracy_level": INT8_ACTIVATIONS}
    operands = [product.activation, product.weight, scale]
    return insert(product.node, "MatMulNBits", operands, product.result, attributes, domain=CONTRIB)


def _signed_nibbles(read: Callable[[], Blocks], inputs: int) -> np.ndarray:
    """Return the matrix as int4 values in int8, [in, out]; they are packed when written."""
    return as_array(read().values.flatten(1)[:, :inputs].T)


def _unsigned_nibbles(read: Callable[[], Blocks]) -> np.ndarray:
    """Return the matrix as uint8 [out, blocks, block size / 2]: two values per byte, the first in the low bits."""
    values = read().values + _ZERO
    return as_array((values[..., 0::2] | (values[..., 1::2] << 4)).to(torch.uint8))
