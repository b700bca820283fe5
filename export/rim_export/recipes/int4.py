"""int4 weight-only, in blocks along the input, for machines with little memory.

    portable   y = MatMul(x, DequantizeLinear(W, scales, zero points, axis 0, block_size))
    ort        y = MatMulNBits(x, W, scales, zero points), ONNX Runtime's own operator, for its CPU engine

Both hold the same numbers (blocks.py), found by GPTQ (gptq.py) from calibration (measure/compensation.py). The
portable form stores scales in fp32, as initializers; the other in fp16, and widens them when it is loaded. In the
`ort` form, ONNX Runtime rounds the activations to int8, by blocks; the portable one is computed as it is written.

TensorRT takes no zero points but 0, so blocks for GPUs are symmetric: codes less 8 as signed int4, no zero points.
The embedding table is int8, as is a full output projection: four bits ruin either. The letters' rows stay in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch
from rim_runtime.bundle.manifest import Dialect, Precision

from rim_export.graph.convert import LM_HEAD, READOUT, UnboundGraph
from rim_export.graph.edit import insert, lazy_initializer, static_shape
from rim_export.recipes.blocks import (
    MIDDLE,
    BlockFormat,
    Blocks,
    Steps,
    ZeroPoints,
    block_count,
    round_to_steps,
    search_steps,
)
from rim_export.recipes.initializers import bind_tensor
from rim_export.recipes.int8 import INT8
from rim_export.recipes.matrices import INT8_ROWS, SMALLEST
from rim_export.recipes.recipe import Emulate, Finer, Recipe, Rewrite, Rewriter
from rim_export.recipes.tables import INT8_TABLE
from rim_export.weights.model_weights import ModelWeights, as_array

CONTRIB = "com.microsoft"
INT8_ACTIVATIONS = 4
"""`accuracy_level` of MatMulNBits: activations rounded to int8 by blocks, its fastest products."""


@dataclass(frozen=True, eq=False)
class QuantizedMatrices:
    """A checkpoint's matrices in int4."""

    form: BlockFormat
    """How they are cut into blocks."""
    compensated: Mapping[str, Blocks]
    """Those that calibration gave, by their names in the graph."""
    searched: dict[str, Steps] = field(default_factory=dict)
    """Scales and zero points of the others, once they were needed: to find them takes most of the time, and codes,
    scales and zero points of a matrix are written one after the other."""

    def blocks(self, name: str, read: Callable[[], torch.Tensor]) -> Blocks:
        """Return a matrix as calibration gave it, or else rounded to the nearest codes."""
        found = self.compensated.get(name)
        if found is not None:
            return found
        matrix = read()
        if name not in self.searched:
            self.searched[name] = search_steps(matrix, self.form)
        return round_to_steps(matrix, self.form, self.searched[name])


def int4_recipes(matrices: QuantizedMatrices) -> tuple[Recipe, ...]:
    """Return the recipes of both dialects, ONNX Runtime's own first."""
    forms = (
        (Dialect.ORT, _multiply_contrib, partial(emulate_rounded, matrices)),
        (Dialect.PORTABLE, _multiply_portable, partial(emulate_exact, matrices)),
    )
    return tuple(
        _recipe(dialect, partial(_products, matrices, multiply), emulate) for dialect, multiply, emulate in forms
    )


def _recipe(dialect: Dialect, products: Callable[[frozenset[str]], Rewrite], emulate: Emulate) -> Recipe:
    assert INT8.emulate is not None
    finer = Finer("int8", products, INT8.emulate)
    return Recipe(Precision.INT4, dialect, products(frozenset()), INT8_TABLE, emulate, finer=finer)


def emulate_exact(
    matrices: QuantizedMatrices, name: str, activations: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Return the product as the portable form says, [..., in] and [out, in] to [..., out]."""
    return activations @ matrices.blocks(name, lambda: weight).widened(weight.shape[1]).T


def emulate_rounded(
    matrices: QuantizedMatrices, name: str, activations: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Return the product as ONNX Runtime computes the `ort` form, [..., in] and [out, in] to [..., out]."""
    return emulate_exact(matrices, name, round_activations(activations, matrices.form.size), weight)


def round_activations(activations: torch.Tensor, block_size: int) -> torch.Tensor:
    """Return activations [..., in] after int8 and back, each block of a row at its own absmax / 127."""
    inputs = activations.shape[-1]
    padded = torch.nn.functional.pad(activations, (0, -inputs % block_size))
    blocks = padded.reshape(*padded.shape[:-1], -1, block_size)
    scales = blocks.abs().amax(dim=-1, keepdim=True).clamp_min(SMALLEST) / INT8_ROWS.largest
    return ((blocks / scales).round() * scales).flatten(-2)[..., :inputs]


@dataclass(frozen=True)
class _Product:
    """One MatMul to be rewritten."""

    unbound: UnboundGraph
    node: ir.Node
    activation: ir.Value
    weight: ir.Value
    form: BlockFormat
    blocks: Callable[[], Blocks]

    @property
    def graph(self) -> ir.Graph:
        return self.unbound.model.graph

    @property
    def name(self) -> str:
        return str(self.weight.name)

    @property
    def result(self) -> str:
        return f"{self.node.outputs[0].name}_int4"


def _products(
    matrices: QuantizedMatrices,
    multiply: Callable[[_Product], ir.Value],
    finer: frozenset[str],
) -> Rewrite:
    """Return how products are written in one of the two forms, those with the weights in `finer` in int8."""
    return partial(_write_products, matrices, multiply, finer | {READOUT, LM_HEAD})


def _write_products(
    matrices: QuantizedMatrices,
    multiply: Callable[[_Product], ir.Value],
    in_int8: frozenset[str],
    unbound: UnboundGraph,
    weights: ModelWeights,
) -> Rewriter:
    """Return the function that writes the products of one graph."""
    assert INT8.rewrite is not None
    int8 = INT8.rewrite(unbound, weights) if in_int8 & unbound.matrices else None

    def rewrite(node: ir.Node, activation: ir.Value, weight: ir.Value) -> ir.Value:
        if weight.name in in_int8 and int8 is not None:
            return int8(node, activation, weight)
        blocks = partial(matrices.blocks, str(weight.name), partial(weights.read, str(weight.name)))
        return multiply(_Product(unbound, node, activation, weight, matrices.form, blocks))

    return rewrite


def _multiply_portable(product: _Product) -> ir.Value:
    inputs, outputs = static_shape(product.weight)
    symmetric = product.form.zero_points is ZeroPoints.MIDDLE
    values = partial(_signed if symmetric else _unsigned, product.blocks, inputs)
    kind = ir.DataType.INT4 if symmetric else ir.DataType.UINT4
    bind_tensor(product.unbound, product.name, values, kind)
    shape = [block_count(inputs, product.form.size), outputs]
    operands = [
        product.weight,
        lazy_initializer(
            product.graph,
            f"{product.name}_scale",
            lambda: as_array(product.blocks().steps.scales.float().T),
            shape,
        ),
    ]
    if not symmetric:
        zeros = partial(_zeros, product.blocks)
        operands.append(lazy_initializer(product.graph, f"{product.name}_zero", zeros, shape, kind))
    attributes = {"axis": 0, "block_size": product.form.size}
    wide = insert(product.node, "DequantizeLinear", operands, f"{product.name}_dq", attributes)
    return insert(product.node, "MatMul", [product.activation, wide], product.result)


def _multiply_contrib(product: _Product) -> ir.Value:
    size = product.form.size
    inputs, outputs = static_shape(product.weight)
    count = block_count(inputs, size)
    bind_tensor(
        product.unbound,
        product.name,
        lambda: as_array(product.blocks().packed),
        ir.DataType.UINT8,
        (outputs, count, size // 2),
    )
    stored = lazy_initializer(
        product.graph,
        f"{product.name}_scale",
        lambda: as_array(product.blocks().steps.scales),
        [outputs, count],
        ir.DataType.FLOAT16,
    )
    scale = insert(product.node, "Cast", [stored], f"{product.name}_scale_fp32", {"to": ir.DataType.FLOAT.value})
    operands = [product.activation, product.weight, scale]
    if product.form.zero_points is ZeroPoints.OWN:
        shape = [outputs, -(-count // 2)]
        zeros = partial(_packed_zeros, product.blocks)
        operands.append(lazy_initializer(product.graph, f"{product.name}_zero", zeros, shape, ir.DataType.UINT8))
    product.graph.opset_imports[CONTRIB] = 1
    attributes = {"K": inputs, "N": outputs, "bits": 4, "block_size": size, "accuracy_level": INT8_ACTIVATIONS}
    return insert(product.node, "MatMulNBits", operands, product.result, attributes, domain=CONTRIB)


def _unsigned(read: Callable[[], Blocks], inputs: int) -> np.ndarray:
    """Return the codes as uint4, [in, out]."""
    return _four_bits(_columns(read(), inputs))


def _signed(read: Callable[[], Blocks], inputs: int) -> np.ndarray:
    """Return the codes less 8 as int4, [in, out]."""
    return as_array(_columns(read(), inputs).char() - MIDDLE).astype(ml_dtypes.int4)


def _columns(blocks: Blocks, inputs: int) -> torch.Tensor:
    return blocks.codes.flatten(1)[:, :inputs].T


def _wide_scales(read: Callable[[], Blocks]) -> np.ndarray:
    """Return scales as fp32 [blocks, out]."""
    return as_array(read().steps.scales.float().T)


def _zeros(read: Callable[[], Blocks]) -> np.ndarray:
    """Return zero points as uint4 [blocks, out]."""
    return _four_bits(read().steps.zeros.T)


def _four_bits(codes: torch.Tensor) -> np.ndarray:
    return as_array(codes).astype(ml_dtypes.uint4)


def _packed_zeros(read: Callable[[], Blocks]) -> np.ndarray:
    """Return zero points [out, blocks] as uint8 [out, half the blocks]: two a byte, the first in the low bits."""
    zeros = read().steps.zeros
    even = torch.nn.functional.pad(zeros, (0, zeros.shape[1] % 2), value=MIDDLE)
    return as_array(even[:, 0::2] | (even[:, 1::2] << 4))
