"""Row normalisation against numbers worked out by hand: a row has its own scale, and nothing else changes it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from rim_export.graph.edit import replace_node
from rim_export.recipes.matrices import FP8_ROWS, INT8_ROWS, NarrowType
from rim_export.recipes.rows import RowNormalizer
from rim_runtime.libraries.onnxruntime import import_onnxruntime

INPUTS = 3
WEIGHT = np.array([[1.0, 0.0], [10.0, 1.0], [100.0, 0.0]], np.float32)


def products_by_row(kind: NarrowType, activations: np.ndarray, count: int = 1) -> list[np.ndarray]:
    """Return `count` products of the same activations by the same weight, one after the other in one graph."""
    floats = ir.TensorType(ir.DataType.FLOAT)
    rows = ir.Value(name="rows", shape=ir.Shape([len(activations), INPUTS]), type=floats)
    weight = ir.Value(name="weight", shape=ir.Shape(WEIGHT.shape), type=floats, const_value=ir.tensor(WEIGHT))
    plain = [ir.node("MatMul", [rows, weight]) for _ in range(count)]
    results = [ir.node("Identity", node.outputs) for node in plain]
    for number, (product, result) in enumerate(zip(plain, results, strict=True)):
        product.outputs[0].name, result.outputs[0].name = f"product_{number}", f"result_{number}"
        for node in (product, result):
            node.outputs[0].type, node.outputs[0].shape = floats, ir.Shape([len(activations), WEIGHT.shape[1]])
    outputs = [node.outputs[0] for node in results]
    graph = ir.Graph(
        [rows],
        outputs,
        nodes=[*plain, *results],
        initializers=[weight],
        opset_imports={"": 23},
        name="rows",
    )
    normalizer = RowNormalizer(graph, kind)
    for node in plain:
        replace_node(node, normalizer.multiply(node, rows, weight))
    return run(ir.Model(graph, ir_version=11), activations)


def run(model: ir.Model, activations: np.ndarray) -> list[np.ndarray]:
    library = import_onnxruntime()
    content = ir.to_proto(model).SerializeToString()
    session = library.InferenceSession(content, providers=["CPUExecutionProvider"])
    return [np.asarray(found) for found in session.run(None, {"rows": activations.astype(np.float32)})]


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        # Of the row's largest: 1/2 is level 63.5 of 127, which goes to the even 64; 1/5 is level 25.4.
        (INT8_ROWS, [64 / 127, -1.0, 25 / 127]),
        # 1/5 is 89.6 of 448, and E4M3 has 88 and 96 there.
        (FP8_ROWS, [1 / 2, -1.0, 88 / 448]),
    ],
    ids=["int8", "fp8"],
)
@pytest.mark.parametrize("size", [2.0**-20, 1.0, 40.0, 2.0**20])
def test_a_row_by_hand_whatever_its_size(kind: NarrowType, unit: list[float], size: float) -> None:
    """Its neighbours are of other sizes, and empty."""
    activations = np.array([[3.0, 1.0, 2.0], [size / 2, -size, size / 5], [0.0, 0.0, 0.0]])
    (found,) = products_by_row(kind, activations)
    np.testing.assert_allclose(found[1], size * (np.array(unit) @ WEIGHT), rtol=1e-6)
    assert not found[2].any()


@pytest.mark.parametrize("kind", [INT8_ROWS, FP8_ROWS], ids=["int8", "fp8"])
def test_more_products_of_one_activation_are_bit_for_bit_the_first(kind: NarrowType) -> None:
    """Their scales differ, so that ONNX Runtime does not merge them; powers of two keep that exact."""
    activations = np.random.default_rng(0).normal(size=(64, INPUTS))
    first, *others = products_by_row(kind, activations, count=4)
    for other in others:
        np.testing.assert_array_equal(other, first)
    peaks = np.abs(activations).max(axis=1, keepdims=True)
    error = np.abs(first - activations @ WEIGHT) / peaks
    assert error.max() > 0.05, "the rounding must be seen"
