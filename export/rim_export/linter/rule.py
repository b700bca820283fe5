"""What a rule is, and what rules ask of values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

Breaches = Iterator[tuple[str, str]]
"""(the node, what was found there)."""


@dataclass(frozen=True)
class Rule:
    """One thing that a graph for TensorRT must or must not have."""

    name: str
    """Its name, in findings and in docs/tensorrt.md."""
    check: Callable[[ir.Model], Breaches]
    """Finds what breaks it."""
    remedy: str
    """What was expected, and what to do."""


@dataclass(frozen=True)
class Finding:
    """One breach of a rule."""

    rule: str
    """The rule's name."""
    node: str
    """The node, or `graph`."""
    found: str
    """What is there."""
    remedy: str
    """What was expected, and what to do."""

    def __str__(self) -> str:
        return f"{self.node}: {self.found}. {self.remedy} [{self.rule}]"


def nodes(model: ir.Model, *operators: str) -> Iterator[ir.Node]:
    """Yield the nodes of these operators."""
    return (node for node in model.graph if node.op_type in operators)


def label(node: ir.Node) -> str:
    """Return what a node is called in findings: its operator, and its name or its output's."""
    return f"{node.op_type} {node.name or node.outputs[0].name}"


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """Return an operand of a node; None where it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def number(node: ir.Node, attribute: str, default: int) -> int:
    """Return an integer attribute."""
    return node.attributes.get_int(attribute, default) or 0


def known(value: ir.Value | None) -> np.ndarray | None:
    """Return a constant's numbers; None for what is computed, now or when it is written."""
    tensor = value.const_value if value is not None else None
    return None if tensor is None or isinstance(tensor, ir.LazyTensor) else tensor.numpy()


def is_constant(value: ir.Value | None) -> bool:
    """Whether a value is stored in the graph."""
    return value is not None and (value.is_initializer() or value.const_value is not None)


def static_dim(value: ir.Value | None, axis: int) -> int | None:
    """Return one dimension, if it is known."""
    if value is None or value.shape is None or len(value.shape) <= axis:
        return None
    dim = value.shape[axis]
    return dim if isinstance(dim, int) else None
