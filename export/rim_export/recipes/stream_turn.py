"""The two ends of a rotated decoder, in the checkpoint's own channels: vectors that come in, states that go out.

Inside, the residual stream is turned (weights/rotation.py), and the last norm's gain is folded into the output
projection. Whoever gives `inputs_embeds` or takes `last_hidden_state` knows nothing of that. So vectors are turned
as they enter, and states are turned back and multiplied by the gain as they leave: Kronecker factors of at most 64
channels, so that both take little time and no memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch

from rim_export.graph.convert import LM_HEAD, UnboundGraph
from rim_export.graph.decoder import EMBEDS, STATE
from rim_export.graph.edit import constant, insert
from rim_export.weights.rotation import Basis, Rotation

_NAME = "stream_turn"


def turn_ends(unbound: UnboundGraph, rotation: Rotation) -> None:
    """Turn a decoder's vectors as they come in, and its states back as they go out."""
    graph, turn = unbound.model.graph, rotation.turns[LM_HEAD]
    assert turn.gain is not None
    gain = rotation.gains[turn.gain].float().numpy()
    orthogonal = rotation.orthogonal(Basis.STREAM, len(gain))
    coming = _Turn.of(graph, orthogonal.factors, f"{_NAME}_in")
    signs = constant(graph, f"{_NAME}_signs", orthogonal.signs.float().numpy())
    embeds = graph.initializers[EMBEDS]
    (taken,) = embeds.uses()
    where = taken.node
    signed = insert(where, "Mul", [embeds, signs], f"{EMBEDS}_signed")
    where.replace_input_with(taken.idx, coming.multiply(where, signed))
    going = _Turn.of(graph, orthogonal.transposed, f"{_NAME}_out")
    state = next(value for value in graph.outputs if value.name == STATE)
    own = constant(graph, f"{_NAME}_gain", (orthogonal.signs.float().numpy() * gain).astype(np.float32))
    _turn_output(graph, state, going, own)


def _turn_output(graph: ir.Graph, state: ir.Value, turn: _Turn, gain: ir.Value) -> None:
    """Turn a state back for the graph's output alone; other users keep the turned one."""
    position = list(graph.outputs).index(state)
    state.name = f"{STATE}_turned"
    end = ir.node("Identity", [state])
    graph.append(end)
    own = insert(end, "Mul", [turn.multiply(end, state), gain], STATE)
    own.shape = state.shape
    graph.outputs[position] = own
    graph.remove(end, safe=True)


@dataclass(frozen=True)
class _Turn:
    """A Kronecker product of small matrices, as constants of a graph."""

    factors: tuple[tuple[ir.Value, ir.Value, bool], ...]
    """For each factor: its matrix, the shape it takes, and whether it is multiplied from the right."""

    @classmethod
    def of(cls, graph: ir.Graph, matrices: Sequence[torch.Tensor], name: str) -> _Turn:
        rest, factors = math.prod(map(len, matrices)), []
        for number, one in enumerate(matrices):
            own = one.float().numpy()
            rest //= len(own)
            is_last = rest == 1
            matrix = constant(graph, f"{name}_{number}", np.ascontiguousarray(own if is_last else own.T))
            cut = [-1, len(own)] if is_last else [-1, len(own), rest]
            factors.append((matrix, constant(graph, f"{name}_{number}_shape", np.array(cut, np.int64)), is_last))
        return cls(tuple(factors))

    def multiply(self, before: ir.Node, values: ir.Value) -> ir.Value:
        """Insert the product of values [batch, sequence, width] with the matrices, and return it."""
        name = str(values.name)
        shape = insert(before, "Shape", [values], f"{name}_shape", dtype=ir.DataType.INT64)
        found = values
        for number, (matrix, cut, is_last) in enumerate(self.factors):
            parts = insert(before, "Reshape", [found, cut], f"{name}_parts_{number}")
            pair = [parts, matrix] if is_last else [matrix, parts]
            found = insert(before, "MatMul", pair, f"{name}_turned_{number}")
        return insert(before, "Reshape", [found, shape], f"{name}_turned")
