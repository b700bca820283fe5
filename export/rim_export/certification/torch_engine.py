"""Run a written graph node by node in torch, for bf16 and NVFP4, which ONNX Runtime has no kernels for.

The file itself is read, with its weights as stored, so the certificate covers the graph and not only the recipe.
Between nodes, values keep the types of the graph; products sum in fp32, as on GPUs. Operators are ONNX's, opset
23: (node, operands) to results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Compute, Precision, Variant
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.graph import INPUTS, Graph
from rim_runtime.errors import EngineClosedError


def needs_torch(variant: Variant) -> bool:
    """Whether ONNX Runtime has no kernels for a variant on the CPU."""
    return variant.compute is Compute.BF16 or variant.precision is Precision.NVFP4


class TorchBackend:
    """A variant's graph, interpreted. Slow: only for certificates."""

    name = "torch"
    batch_tokens = 512

    def __init__(self, bundle: Bundle, variant: Variant) -> None:
        self.precision: Precision = variant.precision
        self.fingerprint = f"torch {torch.__version__} node by node, {variant.name}"
        self._graph = Graph.of(bundle, variant)
        self._model: ir.Model | None = ir.load(Path(self._graph.path))
        unknown = {node.op_type for node in self._model.graph} - set(OPERATORS)
        if unknown:
            raise AssertionError(f"no torch form of {', '.join(sorted(unknown))}")

    @torch.no_grad()
    def run(
        self, question_ids: Ints, question_length: Ints, blocks: Ints, cancel: Cancellation | None = None
    ) -> Floats:
        """Return the letters' logits, float32 [batch, letters]."""
        if self._model is None:
            raise EngineClosedError
        feed = dict(zip(INPUTS, (question_ids, question_length, blocks), strict=True))
        (logits,) = run_graph(self._model.graph, feed)
        return self._graph.letters(logits, len(question_ids))

    def close(self) -> None:
        """Release the graph."""
        self._model = None


def run_graph(graph: ir.Graph, feed: dict[str, Ints]) -> list[np.ndarray]:
    """Run a graph on inputs by name and return its outputs; a value is dropped after its last use."""
    values: dict[ir.Value, torch.Tensor] = {
        value: torch.from_numpy(feed[str(value.name)]) for value in graph.inputs
    }
    left = Counter(value for node in graph for value in node.inputs if value is not None)
    left.update(graph.outputs)
    for node in graph:
        operands = [None if value is None else _value(value, values) for value in node.inputs]
        found = OPERATORS[node.op_type](node, operands)
        values |= zip(node.outputs, found, strict=True)
        for value in node.inputs:
            if value is not None:
                left[value] -= 1
                if not left[value]:
                    values.pop(value, None)
    return [values[value].float().numpy() for value in graph.outputs]


def _value(value: ir.Value, values: dict[ir.Value, torch.Tensor]) -> torch.Tensor:
    if value in values:
        return values[value]
    assert value.const_value is not None
    return as_tensor(value.const_value.numpy())


Operands = Sequence[Any]
"""Tensors; None for an operand left out."""
Operator = Callable[[ir.Node, Operands], Sequence[torch.Tensor]]
TYPES = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.INT64: torch.int64,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT8: torch.int8,
    ir.DataType.BOOL: torch.bool,
    ir.DataType.FLOAT8E4M3FN: torch.float8_e4m3fn,
}
LARGEST = {torch.int8: (-128, 127), torch.float8_e4m3fn: (-448, 448)}


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """Return a numpy array as a tensor; 4-bit types are widened to int8 or fp32, which hold them exactly."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    if array.dtype == ml_dtypes.float8_e4m3fn:
        return torch.from_numpy(array.view(np.uint8).copy()).view(torch.float8_e4m3fn)
    if array.dtype == ml_dtypes.float4_e2m1fn:
        return torch.from_numpy(array.astype(np.float32))
    if array.dtype in (ml_dtypes.int4, ml_dtypes.uint4):
        return torch.from_numpy(array.astype(np.int8))
    return torch.from_numpy(np.array(array))


def _integers(tensor: torch.Tensor) -> list[int]:
    return [int(number) for number in tensor.flatten()]


def _cast(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    return [operands[0].to(TYPES[ir.DataType(node.attributes.get_int("to"))])]


def _clip(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, low, high = (*operands, None)[:3]
    value = value if low is None else torch.maximum(value, low)
    return [value if high is None else torch.minimum(value, high)]


def _expand(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    shape = np.broadcast_shapes(tuple(operands[0].shape), tuple(_integers(operands[1])))
    return [operands[0].expand(shape)]


def _gather(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    axis = node.attributes.get_int("axis", 0) or 0
    table, index = operands
    found = table.index_select(axis, index.flatten())
    return [found.unflatten(axis, index.shape) if index.dim() else found.squeeze(axis)]


def _gather_nd(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    table, index = operands
    return [table[tuple(index.unbind(-1))]]


def _reshape(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, shape = operands
    keep_zero = node.attributes.get_int("allowzero", 0)
    sizes = [
        value.shape[axis] if size == 0 and not keep_zero else size for axis, size in enumerate(_integers(shape))
    ]
    return [value.reshape(sizes)]


def _squeeze(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    axes = (*operands, None)[1]
    return [operands[0].squeeze() if axes is None else operands[0].squeeze(tuple(_integers(axes)))]


def _unsqueeze(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, axes = operands
    rank = value.dim() + len(axes)
    for axis in sorted(axis % rank for axis in _integers(axes)):
        value = value.unsqueeze(axis)
    return [value]


def _shape(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", None)
    return [torch.tensor(list(operands[0].shape)[start:end])]


def _split(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, sizes = (*operands, None)[:2]
    axis = node.attributes.get_int("axis", 0) or 0
    if sizes is None:
        return list(value.chunk(len(node.outputs), dim=axis))
    return list(value.split(_integers(sizes), dim=axis))


def _reduce(reduction: Callable[..., torch.Tensor]) -> Operator:
    def operator(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
        keep = bool(node.attributes.get_int("keepdims", 1))
        return [reduction(operands[0], dim=tuple(_integers(operands[1])), keepdim=keep)]

    return operator


def _mat_mul(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    left, right = operands
    return [(left.float() @ right.float()).to(left.dtype)]


def _rms_norm(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, gain = operands
    epsilon = node.attributes.get_float("epsilon", 1e-5) or 0.0
    wide = value.float()
    unit = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + epsilon)
    return [(unit.to(value.dtype) * gain).to(value.dtype)]


def _layer_norm(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, gain, shift = operands
    epsilon = node.attributes.get_float("epsilon", 1e-5) or 0.0
    found = torch.nn.functional.layer_norm(value.float(), gain.shape, gain.float(), shift.float(), epsilon)
    return [found.to(value.dtype)]


def _slice(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, starts, ends, axes = operands[:4]
    for axis, start, end in zip(_integers(axes), _integers(starts), _integers(ends), strict=True):
        kept = range(value.shape[axis])[start:end]
        value = value.narrow(axis, kept.start, len(kept))
    return [value]


def _rotary(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, cosine, sine = operands  # (B, heads, S, d), (B, S, d / 2)
    first, second = value.chunk(2, dim=-1)
    cosine, sine = cosine[:, None], sine[:, None]
    return [torch.cat([cosine * first - sine * second, sine * first + cosine * second], dim=-1)]


def _attention(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    query, key, value = operands  # (B, heads, S, d)
    scale = node.attributes.get_float("scale", query.shape[-1] ** -0.5) or 0.0
    repeats = query.shape[1] // key.shape[1]
    keys, values = (one.float().repeat_interleave(repeats, dim=1) for one in (key, value))
    found = torch.nn.functional.scaled_dot_product_attention(
        query.float(), keys, values, is_causal=bool(node.attributes.get_int("is_causal", 0)), scale=scale
    )
    return [found.to(query.dtype)]


def _quantize(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, scale, zero = operands
    low, high = LARGEST[zero.dtype]
    unit = value.float() / scale.float()
    unit = unit.round() if zero.dtype is torch.int8 else unit
    return [unit.clamp(low, high).to(zero.dtype)]


def _dequantize(node: ir.Node, operands: Operands) -> Sequence[torch.Tensor]:
    value, scale, zero = (*operands, None)[:3]
    wide = value.float() if zero is None else value.float() - _spread(node, zero, value)
    kind = node.attributes.get_int("output_dtype", 0) or 0
    return [(wide * _spread(node, scale, value)).to(TYPES[ir.DataType(kind)] if kind else scale.dtype)]


def _spread(node: ir.Node, steps: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return scales or zero points of DequantizeLinear in fp32, in a shape that broadcasts to the values."""
    axis = (node.attributes.get_int("axis", 1) or 0) % max(value.dim(), 1)
    size = node.attributes.get_int("block_size", 0) or 0
    if size:
        return steps.float().repeat_interleave(size, dim=axis).narrow(axis, 0, value.shape[axis])
    if steps.numel() > 1:
        return steps.float().reshape([-1 if one == axis else 1 for one in range(value.dim())])
    return steps.float().reshape([])


def _plain(function: Callable[..., torch.Tensor]) -> Operator:
    return lambda _, operands: [function(*operands)]


OPERATORS: Mapping[str, Operator] = {
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "Attention": _attention,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda node, operands: [torch.cat(list(operands), dim=node.attributes.get_int("axis", 0) or 0)],
    "Cos": _plain(torch.cos),
    "DequantizeLinear": _dequantize,
    "Div": _plain(torch.div),
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": lambda node, operands: [
        torch.gather(operands[0], node.attributes.get_int("axis", 0) or 0, operands[1])
    ],
    "GatherND": _gather_nd,
    "Identity": _plain(lambda value: value),
    "LayerNormalization": _layer_norm,
    "Less": _plain(torch.lt),
    "MatMul": _mat_mul,
    "Max": _plain(torch.maximum),
    "Mul": _plain(torch.mul),
    "Pow": _plain(torch.pow),
    "QuantizeLinear": _quantize,
    "Range": _plain(torch.arange),
    "ReduceMax": _reduce(torch.amax),
    "ReduceSum": _reduce(torch.sum),
    "Reshape": _reshape,
    "RMSNormalization": _rms_norm,
    "RotaryEmbedding": _rotary,
    "Shape": _shape,
    "Sigmoid": _plain(torch.sigmoid),
    "Sin": _plain(torch.sin),
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": lambda node, operands: [operands[0].permute(*node.attributes.get_ints("perm", []))],
    "Unsqueeze": _unsqueeze,
    "Where": _plain(torch.where),
}
"""The functions by operator. Attributes that our graphs do not use are not read."""
