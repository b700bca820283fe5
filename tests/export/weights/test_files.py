"""Two graphs over one file of weights: a tensor is stored once, and has one form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from rim_export.graph.convert import UnboundGraph
from rim_export.weights.files import add_graph, write_graph


def holding(**arrays: np.ndarray) -> UnboundGraph:
    """Return a graph with these initializers and no node."""
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 23})
    for name, array in arrays.items():
        tensor = ir.Tensor(array, name=name)
        kind = ir.TensorType(tensor.dtype)
        graph.register_initializer(ir.Value(name=name, shape=tensor.shape, type=kind, const_value=tensor))
    return UnboundGraph(ir.Model(graph, ir_version=10), frozenset(), "", frozenset())


def test_a_further_graph_adds_what_is_new_alone(tmp_path: Path) -> None:
    shared, own, small = np.arange(1000, dtype=np.float32), np.arange(2000, dtype=np.int8), np.arange(9)
    first, second, data = (tmp_path / name for name in ("first.onnx", "second.onnx", "data"))
    write_graph(holding(shared=shared), first, data)
    before = data.read_bytes()
    add_graph(holding(shared=shared, own=own, small=small), second, [first], data)
    assert data.read_bytes().startswith(before)
    read = {name: value.const_value for name, value in ir.load(second).graph.initializers.items()}
    for name, expected in (("shared", shared), ("own", own), ("small", small)):
        found = read[name]
        assert found is not None
        np.testing.assert_array_equal(found.numpy(), expected)
    assert isinstance(read["own"], ir.ExternalTensor)
    assert read["own"].offset is not None
    assert read["own"].offset % 4096 == 0
    assert not isinstance(read["small"], ir.ExternalTensor)
    assert data.stat().st_size == read["own"].offset + own.nbytes


def test_a_tensor_has_one_form(tmp_path: Path) -> None:
    first, second, data = (tmp_path / name for name in ("first.onnx", "second.onnx", "data"))
    write_graph(holding(shared=np.zeros(1000, np.float32)), first, data)
    with pytest.raises(AssertionError, match="shared has another form"):
        add_graph(holding(shared=np.zeros(2000, np.int8)), second, [first], data)
