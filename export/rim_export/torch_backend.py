"""A written graph run node by node in torch: for what ONNX Runtime has no kernels for, bf16 and NVFP4.

The file itself is read, with its weights as stored, so the certificate is of the graph and not of a recipe's
intentions. Values keep their graph's types between nodes; products sum in fp32, as GPUs do.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from rim_runtime.backends.graph import INPUTS, Graph
from rim_runtime.backends.protocol import Floats, Ints
from rim_runtime.bundle import Bundle
from rim_runtime.errors import EngineClosedError
from rim_runtime.manifest import Compute, Precision, Variant

from rim_export.torch_operators import OPERATORS, as_tensor


def needs_torch(variant: Variant) -> bool:
    """Whether ONNX Runtime has no kernels for a variant on the CPU."""
    return variant.compute is Compute.BF16 or variant.precision is Precision.NVFP4


class TorchBackend:
    """A variant's graph, interpreted. Slow: for certificates alone."""

    name = "torch"
    batch_tokens = 512

    def __init__(self, bundle: Bundle, variant: Variant) -> None:
        self.precision: Precision = variant.precision
        self.fingerprint = f"torch {torch.__version__} node by node, {variant.name}"
        self._graph = Graph.of(bundle, variant)
        self._model: ir.Model | None = ir.load(Path(self._graph.path))
        unknown = {node.op_type for node in self._model.graph} - set(OPERATORS)
        if unknown:
            raise AssertionError(f"no torch form of {', '.join(sorted(unknown))}")

    @torch.no_grad()
    def run(self, question_ids: Ints, question_length: Ints, blocks: Ints) -> Floats:
        """Return the letters' logits, float32 [batch, letters]."""
        if self._model is None:
            raise EngineClosedError
        feed = dict(zip(INPUTS, (question_ids, question_length, blocks), strict=True))
        (logits,) = run_graph(self._model.graph, feed)
        return self._graph.letters(logits, len(question_ids))

    def close(self) -> None:
        """Let go of the graph."""
        self._model = None


def run_graph(graph: ir.Graph, feed: dict[str, Ints]) -> list[np.ndarray]:
    """Run a graph on inputs by name and return its outputs; a value is dropped behind its last use."""
    values: dict[ir.Value, torch.Tensor] = {
        value: torch.from_numpy(feed[str(value.name)]) for value in graph.inputs
    }
    left = Counter(value for node in graph for value in node.inputs if value is not None)
    left.update(graph.outputs)
    for node in graph:
        operands = [None if value is None else _value(value, values) for value in node.inputs]
        found = OPERATORS[node.op_type](node, operands)
        values |= zip(node.outputs, found, strict=True)
        for value in node.inputs:
            if value is not None:
                left[value] -= 1
                if not left[value]:
                    values.pop(value, None)
    return [values[value].float().numpy() for value in graph.outputs]


def _value(value: ir.Value, values: dict[ir.Value, torch.Tensor]) -> torch.Tensor:
    if value in values:
        return values[value]
    assert value.const_value is not None
    return as_tensor(value.const_value.numpy())
