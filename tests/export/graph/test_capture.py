"""Values of shapes stay where they are: a copy to the GPU keeps ONNX Runtime from capturing a CUDA graph.

ONNX Runtime puts arithmetic on shapes on the CPU. Kernels of the GPU take such values in certain places only (the
shape of a Reshape, the limits of a Range); anywhere else they would have to be copied. Written after its rules.
"""

from __future__ import annotations

import onnx_ir as ir
from rim_export.graph.convert import convert
from rim_runtime.bundle.manifest import Head
from rim_runtime.prompt.contract import PromptContract
from transformers import Qwen3Config

TAKEN_FROM_THE_CPU = {
    "Reshape": {1}, "Expand": {1}, "Range": {0, 1, 2}, "Slice": {1, 2, 3, 4}, "Clip": {1, 2}, "Unsqueeze": {1},
    "Squeeze": {1}, "ConstantOfShape": {0}, "Split": {1},
}  # fmt: skip
"""Operator to its inputs that GPU kernels read in the CPU's memory."""
ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Concat", "Squeeze", "Unsqueeze", "Gather", "Cast", "Reshape", "Slice"}
"""Operators that follow their inputs to the CPU."""


def copies_to_the_gpu(graph: ir.Graph) -> list[str]:
    """Return the nodes that would want a value of the CPU's in the GPU's memory."""
    on_cpu: set[ir.Value] = set()
    found = []
    for node in graph:
        inputs = [value for value in node.inputs if value is not None and value.const_value is None]
        follows = node.op_type in ARITHMETIC and inputs and all(value in on_cpu for value in inputs)
        if node.op_type == "Shape" or follows:
            on_cpu.update(node.outputs)
            continue
        taken = TAKEN_FROM_THE_CPU.get(node.op_type, set())
        if any(value in on_cpu and slot not in taken for slot, value in enumerate(node.inputs)):
            found.append(f"{node.op_type} {node.name}")
    assert on_cpu, "the lengths are dynamic, so there are shapes"
    return found


def test_no_value_of_a_shape_is_copied_to_the_gpu() -> None:
    config = Qwen3Config(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    contract = PromptContract((1,), "", "", False, (2, 3), (4, 5, 5, 6), 3, (7, 8), "")
    graph = convert(config, contract, 10, Head.LETTERS).model.graph
    assert copies_to_the_gpu(graph) == []
