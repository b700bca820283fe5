"""A rotated decoder's ends: vectors are turned as `Rotation` turns weights, and states come back as they were."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from rim_export.graph.convert import LM_HEAD, UnboundGraph
from rim_export.graph.decoder import EMBEDS, STATE
from rim_export.recipes.stream_turn import turn_ends
from rim_export.weights.rotation import Basis, Rotation, Turn
from rim_runtime.libraries.onnxruntime import import_onnxruntime

NORM = "norm.weight"


def without_layers(width: int) -> UnboundGraph:
    """Return a decoder's two ends without anything between them; `inside` is what the layers would see."""
    shape, kind = ir.Shape(["batch", "sequence", width]), ir.TensorType(ir.DataType.FLOAT)
    embeds = ir.Value(name=EMBEDS, shape=shape, type=kind)
    embeds.const_value = ir.Tensor(np.zeros((1, 1, width), np.float32), name=EMBEDS)
    inside = ir.node("Neg", [embeds])
    after = ir.node("Neg", inside.outputs)
    for value, name in ((inside.outputs[0], "inside"), (after.outputs[0], STATE)):
        value.name, value.shape, value.type = name, shape, kind
    graph = ir.Graph([embeds], [*inside.outputs, *after.outputs], nodes=[inside, after], opset_imports={"": 23})
    graph.register_initializer(embeds)
    return UnboundGraph(ir.Model(graph, ir_version=10), frozenset(), "table", frozenset())


@pytest.mark.parametrize("width", [32, 96, 576, 2048, 3072, 7])
def test_vectors_are_turned_and_states_are_turned_back(width: int) -> None:
    random = torch.Generator().manual_seed(0)
    gain = torch.rand(width, generator=random) + 0.5
    rotation = Rotation({LM_HEAD: Turn(inputs=Basis.STREAM, gain=NORM)}, {NORM: gain.double()}, 1, 1)
    unbound = without_layers(width)
    turn_ends(unbound, rotation)
    session = import_onnxruntime().InferenceSession(
        ir.to_proto(unbound.model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    vectors = torch.randn(2, 3, width, generator=random)
    inside, state = session.run(["inside", STATE], {EMBEDS: vectors.numpy()})
    turned = rotation.orthogonal(Basis.STREAM, width).turn(vectors)
    np.testing.assert_allclose(-inside, turned.numpy(), atol=1e-5)
    np.testing.assert_allclose(state, (vectors * gain).numpy(), atol=1e-5)
