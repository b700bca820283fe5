"""The one turn of a rotated model that its graph computes: the MLP's product, in blocks, before `down_proj`.

    [batch, sequence, width] → Reshape [batch, sequence, blocks, 64] → MatMul [64, 64] → Reshape

The product is made element by element, which no turn passes through, so it cannot be folded into weights. QuaRot
turns it as a whole; blocks take a fraction of that arithmetic, and err hardly more (docs/precisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from rim_export.graph.convert import UnboundGraph
from rim_export.graph.edit import constant, insert, products, static_shape
from rim_export.weights.rotation import Rotation

_MATRIX = "block_turn"


@dataclass(frozen=True)
class BlockTurn:
    """The constants of a turn, which the layers of a graph share."""

    matrix: ir.Value
    """Orthogonal, fp32 [block, block]."""
    blocks: ir.Value
    """The shape of activations in blocks."""
    flat: ir.Value
    """Their own shape."""

    def insert(self, before: ir.Node, values: ir.Value, name: str) -> ir.Value:
        """Insert the turn of values [batch, sequence, width] before a node, and return the turned values."""
        parts = insert(before, "Reshape", [values, self.blocks], f"{name}_blocks")
        turned = insert(before, "MatMul", [parts, self.matrix], f"{name}_turned_blocks")
        return insert(before, "Reshape", [turned, self.flat], f"{name}_turned")


def turn_activations(unbound: UnboundGraph, rotation: Rotation) -> None:
    """Turn the activations of all products whose weights expect it."""
    graph, made = unbound.model.graph, {}
    for node, activation, weight in products(graph, unbound.matrices):
        matrix, width = rotation.online(str(weight.name)), static_shape(weight)[0]
        if matrix is None:
            continue
        if width not in made:
            made[width] = _constants(graph, matrix.numpy(), width)
        node.replace_input_with(0, made[width].insert(node, activation, str(activation.name)))


def turn_of(value: ir.Value) -> tuple[BlockTurn, ir.Value] | None:
    """Return a turned value's turn and what was turned; None for other values."""
    last = value.producer()
    product = (
        last.inputs[0].producer() if last is not None and last.op_type == "Reshape" and last.inputs[0] else None
    )
    matrix = product.inputs[1] if product is not None and product.op_type == "MatMul" else None
    if last is None or product is None or matrix is None or not str(matrix.name).startswith(_MATRIX):
        return None
    first = product.inputs[0].producer() if product.inputs[0] is not None else None
    assert first is not None
    source, blocks, flat = first.inputs[0], first.inputs[1], last.inputs[1]
    assert source is not None and blocks is not None and flat is not None
    return BlockTurn(matrix, blocks, flat), source


def _constants(graph: ir.Graph, matrix: np.ndarray, width: int) -> BlockTurn:
    name = f"{_MATRIX}_{width}"
    return BlockTurn(
        constant(graph, name, matrix),
        constant(graph, f"{name}_blocks", np.array([0, 0, width // len(matrix), len(matrix)], np.int64)),
        constant(graph, f"{name}_flat", np.array([0, 0, width], np.int64)),
    )
