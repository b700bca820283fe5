"""Rules of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import onnx_ir as ir

from rim_export.linter.graph import NARROW
from rim_export.linter.rule import Breaches, Rule, is_constant, known, label, nodes, number, operand

BLOCKS = {ir.DataType.INT4: (32, 128), ir.DataType.FLOAT4E2M1: (16,)}
"""Block sizes by type; other types have none."""
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def check_narrow_type(model: ir.Model) -> Breaches:
    """int8, float8e4m3fn, int4 or float4e2m1."""
    for node in nodes(model, QUANTIZE, DEQUANTIZE):
        narrow = node.outputs[0] if node.op_type == QUANTIZE else operand(node, 0)
        zero = operand(node, 2)
        kind = zero.dtype if zero is not None else narrow.dtype if narrow is not None else None
        if kind not in NARROW:
            yield label(node), f"the type {kind.name if kind else 'unknown'}"


def check_zero_point(model: ir.Model) -> Breaches:
    """Symmetric."""
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
    """Block sizes that there are kernels for."""
    for node in nodes(model, QUANTIZE, DEQUANTIZE):
        size, narrow = number(node, "block_size", 0), operand(node, 0)
        kind = narrow.dtype if narrow is not None else None
        allowed = BLOCKS.get(kind, (0,)) if kind else (0,)
        if size not in allowed:
            yield label(node), f"blocks of {size} in {kind.name if kind else 'an unknown type'}"


def check_scale_type(model: ir.Model) -> Breaches:
    """Scales of the data's type, or fp32 with the type spelled out; in blocks of the data's type."""
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
