"""The last layer works on the readout's row alone; that the answers stay the same is test_parity.py's matter."""

from __future__ import annotations

import onnx
import pytest

from tests.places import DEMO_PACKAGE

DEMO = DEMO_PACKAGE / "bundle"
LAYERS = 6


def operators_behind(graph: onnx.GraphProto, product: onnx.NodeProto) -> set[str]:
    """Operators between a product's activation and the last attention."""
    makers = {output: node for node in graph.node for output in node.output}
    found, waiting = set(), [product.input[0]]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.op_type != "Attention":
            found.add(node.op_type)
            waiting.extend(node.input)
    return found


@pytest.mark.parametrize(("layer", "one_row"), [(LAYERS - 1, True), (LAYERS - 2, False)])
def test_only_the_last_layer_sees_one_row(layer: int, one_row: bool) -> None:
    graph = onnx.load(DEMO / "model.int8.onnx", load_external_data=False).graph
    weight = f"backbone.layers.{layer}.self_attn.o_proj.weight_dq"
    (product,) = [node for node in graph.node if weight in node.input]
    assert ("GatherElements" in operators_behind(graph, product)) is one_row
