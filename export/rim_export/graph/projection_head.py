"""The projection head as a graph of its own: from the decoder's `last_hidden_state` to its next `inputs_embeds`.

It is no part of the decoder: ONNX Runtime would compute it at every token, and it is needed in latent steps alone.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from rim_export.checkpoint.projection_head import Affine, ProjectionHead
from rim_export.graph.convert import OPSET

_NORM_EPSILON = 1e-5
"""PyTorch's default."""
_IR_VERSION = 10
"""The IR version of the other graphs."""


def projection_graph(head: ProjectionHead) -> ir.Model:
    """Return the graph, weights included: fp32 [batch, sequence, width] in and out."""
    graph = ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name="rim_projection_head")
    shape = ir.Shape(["batch", "sequence", head.first.weight.shape[1]])
    states = ir.Value(name="last_hidden_state", shape=shape, type=ir.TensorType(ir.DataType.FLOAT))
    graph.inputs.append(states)
    inner = _node(graph, "Gelu", [_linear(graph, "first", head.first, states)])
    found = _linear(graph, "second", head.second, inner)
    if head.norm is not None:
        parts = [_weight(graph, "norm.weight", head.norm.weight.numpy()), _bias(graph, "norm", head.norm)]
        found = _node(graph, "LayerNormalization", [found, *parts], epsilon=_NORM_EPSILON)
    found.name, found.shape, found.type = "inputs_embeds", shape, ir.TensorType(ir.DataType.FLOAT)
    graph.outputs.append(found)
    return ir.Model(graph, ir_version=_IR_VERSION, producer_name="rim-edge")


def _linear(graph: ir.Graph, name: str, part: Affine, given: ir.Value) -> ir.Value:
    weight = _weight(graph, f"{name}.weight", np.ascontiguousarray(part.weight.numpy().T))
    return _node(graph, "Add", [_node(graph, "MatMul", [given, weight]), _bias(graph, name, part)])


def _bias(graph: ir.Graph, name: str, part: Affine) -> ir.Value:
    return _weight(graph, f"{name}.bias", part.bias.numpy())


def _weight(graph: ir.Graph, name: str, values: np.ndarray) -> ir.Value:
    tensor = ir.Tensor(values, name=name)
    value = ir.Value(name=name, const_value=tensor, shape=tensor.shape, type=ir.TensorType(tensor.dtype))
    graph.register_initializer(value)
    return value


def _node(graph: ir.Graph, operator: str, inputs: list[ir.Value], **attributes: float) -> ir.Value:
    node = ir.node(operator, inputs, attributes=attributes or None)
    graph.append(node)
    return node.outputs[0]
