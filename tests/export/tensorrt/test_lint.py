"""Every rule of the linter: real graphs keep it, one edit breaks it, TensorRT-RTX refuses that or is silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from rim_export.errors import GraphRuleError
from rim_export.tensorrt.lint import RULES, lint, require_legal
from rim_runtime.bundle.manifest import Profile
from rim_runtime.errors import EngineUnavailableError
from rim_runtime.libraries.tensorrt import Library, TensorRt, import_tensorrt, is_installed
from rim_runtime.tensorrt.build import build_plan

from tests.export.gpu_graphs import Source, two_layers

Edit = Callable[[ir.Model], None]


@pytest.fixture(scope="module")
def source() -> Source:
    return two_layers()


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    if not is_installed(Library.RTX):
        pytest.skip("tensorrt_rtx is not installed: what its parser refuses is NOT tested here")
    return import_tensorrt(Library.RTX, "Testing")


def first(model: ir.Model, operator: str) -> ir.Node:
    return next(node for node in model.graph if node.op_type == operator)


def stored(model: ir.Model, name: str, array: np.ndarray, dtype: ir.DataType | None = None) -> ir.Value:
    tensor = ir.Tensor(array, dtype=dtype, name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    model.graph.register_initializer(value)
    return value


def opset(model: ir.Model) -> None:
    model.graph.opset_imports[""] = 22


def contrib(model: ir.Model) -> None:
    node = first(model, "MatMul")
    node.domain, node.op_type = "com.microsoft", "MatMulNBits"
    model.graph.opset_imports["com.microsoft"] = 1


def second_output(model: ir.Model) -> None:
    value = first(model, "Attention").outputs[0]
    model.graph.outputs.append(value)


def fp32_product(model: ir.Model) -> None:
    node = next(one for one in reversed(model.graph) if one.op_type == "RMSNormalization")
    wide = node.outputs[0]
    product = ir.node("MatMul", [wide, stored(model, "turn", np.eye(96, dtype=np.float32)[::-1].copy())])
    product.outputs[0].name, product.outputs[0].type = "turned", wide.type
    ir.convenience.replace_all_uses_with(wide, product.outputs[0])
    product.replace_input_with(0, wide)
    model.graph.insert_after(node, product)


def fp16_norm(model: ir.Model) -> None:
    node = first(model, "RMSNormalization")
    (value, gain), output = node.inputs, node.outputs[0]
    assert value is not None
    assert gain is not None
    for index, one in enumerate((value, gain)):
        cast = ir.node("Cast", [one], {"to": ir.DataType.FLOAT16.value})
        cast.outputs[0].type, cast.outputs[0].name = ir.TensorType(ir.DataType.FLOAT16), f"narrow_{index}"
        model.graph.insert_before(node, cast)
        node.replace_input_with(index, cast.outputs[0])
    back = ir.node("Cast", [output], {"to": ir.DataType.FLOAT.value})
    ir.convenience.replace_all_uses_with(output, back.outputs[0])
    back.replace_input_with(0, output)
    back.outputs[0].type, back.outputs[0].name = ir.TensorType(ir.DataType.FLOAT), "wide_again"
    output.type = ir.TensorType(ir.DataType.FLOAT16)
    model.graph.insert_after(node, back)


def int8_table(model: ir.Model) -> None:
    node = first(model, "Gather")
    table = node.inputs[0]
    assert table is not None
    assert table.shape is not None
    narrow = stored(model, "narrow_table", np.ones(table.shape.numpy(), np.int8))
    node.replace_input_with(0, narrow)
    node.outputs[0].type = ir.TensorType(ir.DataType.INT8)


def fp32_attention(model: ir.Model) -> None:
    node = first(model, "Attention")
    for index, value in enumerate(node.inputs):
        assert value is not None
        cast = ir.node("Cast", [value], {"to": ir.DataType.FLOAT.value})
        cast.outputs[0].type, cast.outputs[0].name = ir.TensorType(ir.DataType.FLOAT), f"wide_{index}"
        model.graph.insert_before(node, cast)
        node.replace_input_with(index, cast.outputs[0])
    output = node.outputs[0]
    back = ir.node("Cast", [output], {"to": ir.DataType.FLOAT16.value})
    ir.convenience.replace_all_uses_with(output, back.outputs[0])
    back.replace_input_with(0, output)
    back.outputs[0].type, back.outputs[0].name = ir.TensorType(ir.DataType.FLOAT16), "narrow_again"
    output.type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.insert_after(node, back)


def masked(model: ir.Model) -> None:
    node = first(model, "Attention")
    mask = stored(model, "mask", np.ones((1, 1, 1, 1), np.bool_))
    node.resize_inputs(4)
    node.replace_input_with(3, mask)


def cached(model: ir.Model) -> None:
    node = first(model, "Attention")
    node.resize_inputs(6)
    for index in (4, 5):
        past = stored(model, f"past_{index}", np.zeros((1, 2, 1, 32), np.float16))
        node.replace_input_with(index, past)


def counted(model: ir.Model) -> None:
    node = first(model, "Attention")
    node.resize_inputs(7)
    node.replace_input_with(6, stored(model, "valid", np.ones(1, np.int64)))


def fewer_queries(model: ir.Model) -> None:
    query, key, _ = first(model, "Attention").inputs
    assert query is not None
    assert key is not None
    assert query.shape is not None
    assert key.shape is not None
    heads = list(query.shape)[1], list(key.shape)[1]
    query.shape, key.shape = ir.Shape([1, heads[0], 1, 32]), ir.Shape([1, heads[1], 9, 32])


def unsigned(model: ir.Model) -> None:
    for node in model.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.inputs) == 3:
            zero = stored(model, f"unsigned_{node.name}", np.array(128, np.uint8))
            node.replace_input_with(2, zero)
        if node.op_type == "QuantizeLinear":
            node.outputs[0].type = ir.TensorType(ir.DataType.UINT8)


def off_zero(model: ir.Model) -> None:
    for node in model.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.inputs) == 3:
            node.replace_input_with(2, stored(model, f"off_{node.name}", np.array(3, np.int8)))


def channel_activation(model: ir.Model) -> None:
    node = first(model, "QuantizeLinear")
    width = 96
    scale = stored(model, "channel_scales", np.full(width, 0.1, np.float32))
    zeros = stored(model, "channel_zeros", np.zeros(width, np.int8))
    for one in (node, *(user for user, _ in node.outputs[0].uses())):
        one.replace_input_with(1, scale)
        one.replace_input_with(2, zeros)
        one.attributes["axis"] = ir.AttrInt64("axis", 2)


def quantized_constant(model: ir.Model) -> None:
    node = first(model, "QuantizeLinear")
    node.replace_input_with(0, stored(model, "wide_constant", np.ones((1, 1, 96), np.float32)))


def wrong_axis(model: ir.Model) -> None:
    for node in model.graph:
        scale = node.inputs[1] if node.op_type == "DequantizeLinear" else None
        if scale is not None and scale.shape is not None and len(scale.shape) == 1:
            node.attributes["axis"] = ir.AttrInt64("axis", 0)
            return


def wrong_blocks(model: ir.Model) -> None:
    node = first(model, "DequantizeLinear")
    node.attributes["block_size"] = ir.AttrInt64("block_size", 48)


def untyped_scale(model: ir.Model) -> None:
    node = next(n for n in model.graph if n.op_type == "DequantizeLinear" and "output_dtype" in n.attributes)
    del node.attributes["output_dtype"]


def zero_scale(model: ir.Model) -> None:
    node = first(model, "QuantizeLinear")
    for one in (node, *(user for user, _ in node.outputs[0].uses())):
        one.replace_input_with(1, stored(model, f"no_scale_{one.name}", np.zeros((), np.float32)))


BREAKERS: dict[str, tuple[str, Edit]] = {
    "opset": ("fp16", opset),
    "operators": ("fp16", contrib),
    "one-output": ("fp16", second_output),
    "products": ("fp16", fp32_product),
    "norms": ("fp16", fp16_norm),
    "narrow-constants": ("fp16", int8_table),
    "attention-type": ("fp16", fp32_attention),
    "attention-mask": ("fp16", masked),
    "attention-cache": ("fp16", cached),
    "attention-nonpad": ("fp16", counted),
    "attention-lengths": ("fp16", fewer_queries),
    "narrow-type": ("int8", unsigned),
    "zero-point": ("int8", off_zero),
    "activation-scale": ("int8", channel_activation),
    "weight-quantize": ("int8", quantized_constant),
    "weight-axis": ("int8", wrong_axis),
    "block-size": ("int4", wrong_blocks),
    "scale-type": ("int8", untyped_scale),
    "scale-size": ("int8", zero_scale),
}


def test_every_rule_has_a_graph_that_breaks_it() -> None:
    assert {rule.name for rule in RULES} == set(BREAKERS)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8", "fp8", "int4", "nvfp4"])
@pytest.mark.parametrize("compute", ["fp16", "bf16"])
def test_what_is_exported_keeps_every_rule(precision: str, compute: str, source: Source, tmp_path: Path) -> None:
    assert not lint(source.model(precision, compute))
    written = source.write(source.recipe(precision, compute), tmp_path)
    assert not lint(ir.load(written))  # its scales are there to be looked at


@pytest.mark.parametrize("rule", BREAKERS)
def test_a_broken_rule_is_named_with_its_node(rule: str, source: Source) -> None:
    precision, edit = BREAKERS[rule]
    model = source.model(precision)
    edit(model)
    found = [finding for finding in lint(model) if finding.rule == rule]
    assert found, f"{rule} found nothing"
    names = {node.name for node in model.graph} | {str(node.outputs[0].name) for node in model.graph}
    for finding in found:
        assert finding.node == "graph" or finding.node.split()[1] in names
        assert finding.found
        assert finding.remedy.endswith(".")
    with pytest.raises(GraphRuleError, match=r"graph breaks \d+ rules of TensorRT") as raised:
        require_legal(model, precision)
    assert f"[{rule}]" in str(raised.value)
    assert "nothing was written" in str(raised.value)


def test_fp32_graphs_are_not_for_tensorrt(source: Source) -> None:
    from rim_export.recipes.floats import FP32

    broken = {finding.rule for finding in lint(source.bound(FP32).model)}
    assert broken == {"attention-type", "products"}


REFUSED = {
    "operators": "",  # in this release with a message of its own for MatMulNBits
    "narrow-constants": "only allowed before DQ",
    "attention-mask": "setMask",
    "attention-cache": "past_key",
    "narrow-type": "zero point is not supported",
    "zero-point": "zero point is not supported",
    "weight-axis": "number of scales",
    "scale-type": "same input types",
    "scale-size": "must all be positive",
}
"""Rules whose breach TensorRT-RTX refuses by itself, and in which words; the others it accepts in silence."""


@pytest.mark.parametrize("rule", BREAKERS)
def test_tensorrt_refuses_the_same_or_is_silent(rule: str, source: Source, rtx: TensorRt, tmp_path: Path) -> None:
    precision, edit = BREAKERS[rule]
    model = source.model(precision)
    edit(model)
    graph = tmp_path / "broken.onnx"
    ir.save(model, graph, external_data="broken.onnx.data")
    if rule in REFUSED:
        with pytest.raises(EngineUnavailableError, match=f"(?s)cannot build .*{REFUSED[rule]}"):
            build_plan(rtx, graph, ("sm_89", "sm_120"), (Profile(1, 64, 2),))
    else:
        assert build_plan(rtx, graph, ("sm_89", "sm_120"), (Profile(1, 64, 2),))


def test_tensorrt_refuses_attention_in_fp32(source: Source, rtx: TensorRt, tmp_path: Path) -> None:
    from rim_export.recipes.floats import FP32

    with pytest.raises(EngineUnavailableError, match="not supported by a dedicated kernel"):
        build_plan(rtx, source.write(FP32, tmp_path), ("sm_89",), (Profile(1, 64, 2),))


def test_turing_refuses_fp32_products(source: Source, rtx: TensorRt, tmp_path: Path) -> None:
    model = source.model("fp16")
    fp32_product(model)
    ir.save(model, tmp_path / "broken.onnx", external_data="broken.onnx.data")
    with pytest.raises(EngineUnavailableError, match="FP32 GEMM is not supported"):
        build_plan(rtx, tmp_path / "broken.onnx", ("sm_75",), (Profile(1, 64, 2),))
