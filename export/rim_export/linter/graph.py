"""Rules of the graph as a whole, and of its plain operators."""

from __future__ import annotations

import onnx_ir as ir

from rim_export.linter.rule import Breaches, Rule, label, nodes, operand
from rim_export.trace import OPSET

STANDARD = ("", "ai.onnx")
NARROW = (ir.DataType.INT8, ir.DataType.FLOAT8E4M3FN, ir.DataType.INT4, ir.DataType.FLOAT4E2M1)
"""Types that TensorRT takes as quantized numbers."""


def check_opset(model: ir.Model) -> Breaches:
    """One opset, whose rules are known."""
    found = model.graph.opset_imports.get("")
    if found != OPSET:
        yield "graph", f"opset {found}"


def check_operators(model: ir.Model) -> Breaches:
    """No operator of anyone's own."""
    for node in model.graph:
        if node.domain not in STANDARD:
            yield label(node), f"domain {node.domain}"


def check_outputs(model: ir.Model) -> Breaches:
    """One output: no caches."""
    names = [str(value.name) for value in model.graph.outputs]
    if len(names) != 1:
        yield "graph", f"outputs {', '.join(names)}"


def check_products(model: ir.Model) -> Breaches:
    """Products in 16 bits."""
    for node in nodes(model, "MatMul", "Gemm"):
        if any(value is not None and value.dtype is ir.DataType.FLOAT for value in node.inputs):
            yield label(node), "a product in fp32"


def check_norms(model: ir.Model) -> Breaches:
    """Norms in fp32."""
    for node in nodes(model, "RMSNormalization", "LayerNormalization"):
        value = operand(node, 0)
        if value is not None and value.dtype is not ir.DataType.FLOAT:
            yield label(node), f"a norm in {getattr(value.dtype, 'name', 'no type')}"


def check_narrow_constants(model: ir.Model) -> Breaches:
    """Quantized constants go to DequantizeLinear alone."""
    for value in model.graph.initializers.values():
        for node, _ in value.uses():
            zero_point = node.op_type == "QuantizeLinear" and operand(node, 2) is value
            if value.dtype in NARROW and node.op_type != "DequantizeLinear" and not zero_point:
                yield label(node), f"reads the quantized constant {value.name}"


GRAPH_RULES = (
    Rule("opset", check_opset, f"Expected opset {OPSET}: the rules were seen to hold there."),
    Rule("operators", check_operators, "The parser wants a plugin for it; take the portable dialect."),
    Rule("one-output", check_outputs, "Expected one: present keys and values are refused."),
    Rule("products", check_products, "It may be rounded to TF32, and Turing has none; cast to 16 bits."),
    Rule("norms", check_norms, "Sums of squares leave fp16's range; cast to fp32 before it."),
    Rule("narrow-constants", check_narrow_constants, "It is refused anywhere but before DequantizeLinear."),
)
