"""A bundle's graph, edited to read out every position of a text: token ids in, logits [1, tokens, vocabulary] out.

A graph of ours composes the prompt around the question and reads out its last row. Both are index arithmetic:
three places are cut, the products stay as they were certified.

| in the graph | here |
| --- | --- |
| the prompt's ids, gathered from head, suffix and question | `question_ids` as they are |
| its length, the question's and the suffix's | the question's |
| the readout's row, gathered before the last output projection, and squeezed behind the last norm | all rows |
"""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

INPUT = "question_ids"


def write_every_row(graph: Path, target: Path) -> None:
    """Write the edited graph of a bundle with a full head to `target`, beside it: both read the same weights."""
    assert target.parent == graph.parent, "external weights are found beside the graph"
    model = ir.load(graph)
    read_out_every_row(model)
    ir.save(model, target)


def read_out_every_row(model: ir.Model) -> None:
    """Edit a graph in place. Raises ValueError if it is not one of ours."""
    graph = model.graph
    gathers = [node for node in graph if node.op_type == "GatherElements"]
    composed = [node for node in gathers if _made_by(node, 1) == "Where"]
    rows = [node for node in gathers if _made_by(node, 1) == "Expand"]
    ranges = [node for node in graph if node.op_type == "Range"]
    if len(composed) != 1 or not rows or len(ranges) != 1:
        raise ValueError(f"found {len(composed)} prompts, {len(rows)} readouts, {len(ranges)} ranges of positions")
    squeeze = [node for node in graph if node.op_type == "Squeeze"][-1]
    _replace(composed[0].outputs[0], next(value for value in graph.inputs if value.name == INPUT))
    _replace(_input(ranges[0], 1), _question_length(_input(ranges[0], 1)))
    for node in rows:
        _replace(node.outputs[0], _input(node, 0))
    _replace(squeeze.outputs[0], _input(squeeze, 0))
    for node in graph:
        for output in node.outputs:
            output.shape = None  # some spoke of the prompt's length
    graph.outputs[0].shape = None
    RemoveUnusedNodesPass()(model)
    for value in [value for value in graph.inputs if value.name != INPUT]:
        graph.inputs.remove(value)
    graph.sort()


def _made_by(node: ir.Node, slot: int) -> str | None:
    producer = _input(node, slot).producer()
    return producer.op_type if producer else None


def _input(node: ir.Node, slot: int) -> ir.Value:
    value = node.inputs[slot]
    assert value is not None
    return value


def _question_length(length: ir.Value) -> ir.Value:
    """Return the summand of the prompt's length that the graph computes: the padded question's."""
    producer = length.producer()
    assert producer is not None and producer.op_type == "Add", f"the length is made by {producer}"
    return next(value for value in producer.inputs if value is not None and value.producer() is not None)


def _replace(old: ir.Value, new: ir.Value) -> None:
    ir.convenience.replace_all_uses_with(old, new)
