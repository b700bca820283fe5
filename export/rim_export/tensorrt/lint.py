"""Lint: find what TensorRT's parsers refuse, or accept and then ignore, in a graph before it is written.

A rule is a function from a graph to findings, listed in RULES with its remedy: first the rules for the whole
graph, then for `Attention`, then for quantization. They come from the vendor's headers and from builds with
TensorRT-RTX 1.7.1; docs/tensorrt.md lists the source of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from rim_export.errors import GraphRuleError
from rim_export.graph.convert import OPSET

Breaches = Iterator[tuple[str, str]]
"""(the node, what was found there)."""


@dataclass(frozen=True)
class Rule:
    """Something that a graph for TensorRT must or must not have."""

    name: str
    """Its name, in findings and in docs/tensorrt.md."""
    check: Callable[[ir.Model], Breaches]
    """Finds what breaks the rule."""
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
    """What was found there."""
    remedy: str
    """What was expected, and what to do."""

    def __str__(self) -> str:
        return f"{self.node}: {self.found}. {self.remedy} [{self.rule}]"


def lint(model: ir.Model) -> tuple[Finding, ...]:
    """Return everything in a graph that is illegal for TensorRT; values not yet computed are not checked."""
    return tuple(
        Finding(rule.name, where, found, rule.remedy) for rule in RULES for where, found in rule.check(model)
    )


def require_legal(model: ir.Model, name: str) -> None:
    """Raise GraphRuleError, naming nodes and rules, if a graph is not legal for TensorRT."""
    findings = lint(model)
    if findings:
        shown = "\n".join(f"  {finding}" for finding in findings[:_SHOWN])
        more = f"\n  … and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
        raise GraphRuleError(
            f"The {name} graph breaks {len(findings)} rules of TensorRT, expected none; nothing was written:\n"
            f"{shown}{more}"
        )


STANDARD = ("", "ai.onnx")
NARROW = (ir.DataType.INT8, ir.DataType.FLOAT8E4M3FN, ir.DataType.INT4, ir.DataType.FLOAT4E2M1)
"""Types that TensorRT takes as quantized numbers."""


def check_opset(model: ir.Model) -> Breaches:
    """Only the opset whose rules are known."""
    found = model.graph.opset_imports.get("")
    if found != OPSET:
        yield "graph", f"opset {found}"


def check_operators(model: ir.Model) -> Breaches:
    """Only standard operators."""
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
    """Quantized constants are used only by DequantizeLinear."""
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
MASK, PAST_KEY, PAST_VALUE, NONPAD = 3, 4, 5, 6
"""Indices of the optional operands of `Attention`."""


def check_type(model: ir.Model) -> Breaches:
    """Attention in 16 bits."""
    for node in nodes(model, "Attention"):
        if any(value is not None and value.dtype is ir.DataType.FLOAT for value in node.inputs[:3]):
            yield label(node), "attention in fp32"


def check_mask(model: ir.Model) -> Breaches:
    """Causal or masked, not both."""
    for node in nodes(model, "Attention"):
        if operand(node, MASK) is not None and number(node, "is_causal", 0):
            yield label(node), "a mask together with is_causal=1"


def check_cache(model: ir.Model) -> Breaches:
    """No past keys and values, no present ones."""
    for node in nodes(model, "Attention"):
        past = operand(node, PAST_KEY) is not None or operand(node, PAST_VALUE) is not None
        if past or len(node.outputs) > 1:
            yield label(node), "past or present keys and values"


def check_nonpad(model: ir.Model) -> Breaches:
    """No count of valid keys."""
    for node in nodes(model, "Attention"):
        if operand(node, NONPAD) is not None:
            yield label(node), "nonpad_kv_seqlen"


def check_lengths(model: ir.Model) -> Breaches:
    """As many queries as keys, if both are known."""
    for node in nodes(model, "Attention"):
        query, key = operand(node, 0), operand(node, 1)
        axis = 2 if query is not None and query.shape is not None and len(query.shape) == 4 else 1
        lengths = static_dim(query, axis), static_dim(key, axis)
        if None not in lengths and lengths[0] != lengths[1] and number(node, "is_causal", 0):
            yield label(node), f"{lengths[0]} queries on {lengths[1]} keys"


ATTENTION_RULES = (
    Rule("attention-type", check_type, "No kernel has it: cast its operands to fp16 or bf16."),
    Rule("attention-mask", check_mask, "Take causal attention and pad on the right, or a mask with is_causal=0."),
    Rule("attention-cache", check_cache, "They are refused; a single pass has none."),
    Rule("attention-nonpad", check_nonpad, "It is accepted and ignored; pad on the right instead."),
    Rule("attention-lengths", check_lengths, "Causal is aligned at the upper left here: keep them equal."),
)
BLOCKS = {ir.DataType.INT4: (32, 128), ir.DataType.FLOAT4E2M1: (16,)}
"""Block sizes by type; other types have none."""
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def check_narrow_type(model: ir.Model) -> Breaches:
    """Quantized types are int8, float8e4m3fn, int4 or float4e2m1."""
    for node in nodes(model, QUANTIZE, DEQUANTIZE):
        narrow = node.outputs[0] if node.op_type == QUANTIZE else operand(node, 0)
        zero = operand(node, 2)
        kind = zero.dtype if zero is not None else narrow.dtype if narrow is not None else None
        if kind not in NARROW:
            yield label(node), f"the type {kind.name if kind else 'unknown'}"


def check_zero_point(model: ir.Model) -> Breaches:
    """Symmetric quantization: zero point 0."""
    for node in nodes(model, QUANTIZE, DEQUANTIZE):
        zero = operand(node, 2)
        if zero is None:
            continue
        values = known(zero)
        if values is None or values.astype("float32").any():
            yield label(node), "a zero point that is not 0"


def check_activation(model: ir.Model) -> Breaches:
    """Activations have one scale."""
    for node in nodes(model, QUANTIZE, DEQUANTIZE):
        scale = operand(node, 1)
        several = scale is not None and scale.shape is not None and list(scale.shape) not in ([], [1])
        if several and not is_constant(operand(node, 0)):
            yield label(node), "several scales on an activation"


def check_weight(model: ir.Model) -> Breaches:
    """Weights are stored narrow."""
    for node in nodes(model, QUANTIZE):
        if is_constant(operand(node, 0)):
            yield label(node), "quantizes a constant"


def check_axis(model: ir.Model) -> Breaches:
    """Scales of a weight along its outputs, blocks along its inputs."""
    for node in nodes(model, DEQUANTIZE):
        scale, blocked = operand(node, 1), "block_size" in node.attributes
        if scale is None or scale.shape is None or len(scale.shape) == 0 or not is_constant(operand(node, 0)):
            continue
        axis, expected = number(node, "axis", 1), 0 if blocked else 1
        if axis != expected and any(user.op_type == "MatMul" for user, _ in node.outputs[0].uses()):
            yield label(node), f"scales along axis {axis} of [inputs, outputs]"


def check_blocks(model: ir.Model) -> Breaches:
    """Only block sizes that have kernels."""
    for node in nodes(model, QUANTIZE, DEQUANTIZE):
        size, narrow = number(node, "block_size", 0), operand(node, 0)
        kind = narrow.dtype if narrow is not None else None
        allowed = BLOCKS.get(kind, (0,)) if kind else (0,)
        if size not in allowed:
            yield label(node), f"blocks of {size} in {kind.name if kind else 'an unknown type'}"


def check_scale_type(model: ir.Model) -> Breaches:
    """Scales have the data's type, or fp32 with the type stated explicitly; in blocks, only the data's type."""
    for node in nodes(model, QUANTIZE, DEQUANTIZE):
        wide = operand(node, 0) if node.op_type == QUANTIZE else node.outputs[0]
        scale = operand(node, 1)
        if wide is None or scale is None or scale.dtype is wide.dtype:
            continue
        spelled = node.op_type == DEQUANTIZE and "output_dtype" in node.attributes
        if not spelled or scale.dtype is not ir.DataType.FLOAT or "block_size" in node.attributes:
            names = [value.dtype.name if value.dtype else "no type" for value in (scale, wide)]
            yield label(node), f"{names[0]} scales for {names[1]}"


def check_scale_size(model: ir.Model) -> Breaches:
    """Scales above 0."""
    for node in nodes(model, QUANTIZE, DEQUANTIZE):
        values = known(operand(node, 1))
        if values is not None and not (values.astype("float32") > 0).all():
            yield label(node), "a scale that is not above 0"


QUANTIZATION_RULES = (
    Rule("narrow-type", check_narrow_type, "Expected int8, float8e4m3fn, int4 or float4e2m1: others are refused."),
    Rule("zero-point", check_zero_point, "It is refused: quantize symmetrically."),
    Rule("activation-scale", check_activation, "It is refused: one scale for each activation, or normalise rows."),
    Rule("weight-quantize", check_weight, "Store the weight quantized, with DequantizeLinear alone."),
    Rule("weight-axis", check_axis, "Expected axis 1, or 0 with a block size."),
    Rule("block-size", check_blocks, "Expected 32 or 128 for int4, 16 for float4e2m1, none for others."),
    Rule("scale-type", check_scale_type, "Expected the data's type, or fp32 with output_dtype; never in blocks."),
    Rule("scale-size", check_scale_size, "It is refused: scales are above 0."),
)
RULES: tuple[Rule, ...] = (*GRAPH_RULES, *ATTENTION_RULES, *QUANTIZATION_RULES)
_SHOWN = 5


def nodes(model: ir.Model, *operators: str) -> Iterator[ir.Node]:
    """Yield the nodes of these operators."""
    return (node for node in model.graph if node.op_type in operators)


def label(node: ir.Node) -> str:
    """Return a node's name in findings: its operator, and its own name or its output's."""
    return f"{node.op_type} {node.name or node.outputs[0].name}"


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """Return an operand of a node; None if it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def number(node: ir.Node, attribute: str, default: int) -> int:
    """Return an integer attribute."""
    return node.attributes.get_int(attribute, default) or 0


def known(value: ir.Value | None) -> np.ndarray | None:
    """Return a constant's values; None for values that are computed, by the graph or when it is written."""
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
