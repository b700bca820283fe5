"""Edits of a graph: find its large products, insert nodes, replace a node by another value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir


def products(graph: ir.Graph, names: frozenset[str]) -> Iterator[tuple[ir.Node, ir.Value, ir.Value]]:
    """Yield (node, activation, weight) of each MatMul by one of these weights; the graph may change meanwhile."""
    for node in list(graph):
        if node.op_type != "MatMul":
            continue
        activation, weight = node.inputs
        assert activation is not None
        assert weight is not None
        if weight.name in names:
            yield node, activation, weight


def insert(
    before: ir.Node,
    operator: str,
    inputs: list[ir.Value],
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    dtype: ir.DataType = ir.DataType.FLOAT,
    domain: str = "",
) -> ir.Value:
    """Insert a node with one output before another node and return the output."""
    node = ir.node(operator, inputs, attributes or {}, domain=domain)
    output = node.outputs[0]
    output.name, output.type = name, ir.TensorType(dtype)
    _graph_of(before).insert_before(before, node)
    return output


def replace_node(node: ir.Node, result: ir.Value) -> None:
    """Let the users of a node's only output use `result` instead, and remove the node.

    An output of the graph stays an output and keeps its name, which callers use.
    """
    graph, output = _graph_of(node), node.outputs[0]
    result.shape = output.shape
    if output.is_graph_output():
        result.name, output.name = output.name, f"{output.name}_replaced"
    ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _graph_of(node: ir.Node) -> ir.Graph:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return graph


def constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """Return an initializer with this value."""
    tensor = ir.Tensor(array, name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def lazy_initializer(
    graph: ir.Graph,
    name: str,
    read: Callable[[], np.ndarray],
    shape: list[int],
    dtype: ir.DataType = ir.DataType.FLOAT,
) -> ir.Value:
    """Return an initializer that is computed when it is written, and not kept."""
    tensor = lazy(name, read, dtype, shape)
    value = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """Return the shape of an initializer."""
    assert value.shape is not None
    return tuple(value.shape.numpy())


def lazy(name: str, read: Callable[[], np.ndarray], dtype: ir.DataType, shape: Sequence[int]) -> ir.LazyTensor:
    """Return a tensor that is computed each time it is read."""
    return ir.LazyTensor(lambda: ir.Tensor(read(), dtype=dtype, name=name), dtype, ir.Shape(shape), name=name)
