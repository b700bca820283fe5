"""Give a traced graph its weights: lazy tensors that are read, converted and written one at a time.

What form they take is a recipe's business (recipes/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch
from rim_runtime.manifest import Head

from rim_export.checkpoint import Checkpoint
from rim_export.errors import CheckpointError
from rim_export.trace import READOUT, TracedGraph

Report = Callable[[float], None]
"""Called with the share that is done, 0..1."""

JOINT = "+"
"""Joins the names of weights that one product has side by side (recipes/merge.py)."""

_ALIGNMENT = 4096
_EXTERNAL_FROM_BYTES = 1024


@dataclass(frozen=True)
class ModelWeights:
    """The checkpoint's tensors under the names of the traced graph, in the checkpoint's layout [out, in]."""

    checkpoint: Checkpoint
    """Where they are read."""
    letters: Mapping[str, int]
    """Letter to token id: the rows of a letter head."""
    head: Head
    """Which rows the readout has."""

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor of the graph in its own dtype. Raises CheckpointError if it is missing."""
        if JOINT in name:
            return torch.cat([self.read(part) for part in name.split(JOINT)])
        if name != READOUT:
            return self.checkpoint.weights.read(name.replace("backbone.", "model.", 1))
        tied = self.checkpoint.config.get("tie_word_embeddings", False)
        rows = self.checkpoint.weights.read("model.embed_tokens.weight" if tied else "lm_head.weight")
        return rows if self.head is Head.FULL else rows[list(self.letters.values())]

    def check(self, traced: TracedGraph) -> None:
        """Read one row of every tensor. Raises CheckpointError for a missing name or a wrong shape."""
        for name in (*sorted(traced.matrices), traced.embedding, *sorted(traced.vectors)):
            shape = static_shape(traced.model.graph.initializers[name])
            expected = shape[::-1] if name in traced.matrices else shape
            found = tuple(self.read(name).shape)
            if found != expected:
                raise CheckpointError(
                    f"The checkpoint's tensor for {name} has shape {list(found)}, config.json says "
                    f"{list(expected)}. Weights and config.json do not belong together."
                )


def bind_vectors(traced: TracedGraph, weights: ModelWeights) -> None:
    """Bind the norm gains in fp32."""
    for name in traced.vectors:
        bind(traced, name, partial(_wide_vector, weights, name))


def bind_matrices(traced: TracedGraph, weights: ModelWeights, names: frozenset[str]) -> None:
    """Bind these matrices in fp32, [in, out]."""
    for name in names:
        bind(traced, name, partial(_wide_matrix, weights, name))


def _wide_matrix(weights: ModelWeights, name: str) -> np.ndarray:
    return as_array(weights.read(name).float().T)


def _wide_vector(weights: ModelWeights, name: str) -> np.ndarray:
    return as_array(weights.read(name).float())


def bind(
    traced: TracedGraph,
    name: str,
    read: Callable[[], np.ndarray],
    dtype: ir.DataType = ir.DataType.FLOAT,
    shape: Sequence[int] | None = None,
) -> None:
    """Give the initializer `name` a value that is computed when it is written, and not kept.

    `shape` None: the traced one.
    """
    value = traced.model.graph.initializers[name]
    value.type = ir.TensorType(dtype)
    value.shape = value.shape if shape is None else ir.Shape(shape)
    value.const_value = lazy(name, read, dtype, static_shape(value))


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """Return the shape of an initializer."""
    assert value.shape is not None
    return tuple(value.shape.numpy())


def lazy(name: str, read: Callable[[], np.ndarray], dtype: ir.DataType, shape: Sequence[int]) -> ir.LazyTensor:
    """Return a tensor that is computed each time it is looked at."""
    return ir.LazyTensor(lambda: ir.Tensor(read(), dtype=dtype, name=name), dtype, ir.Shape(shape), name=name)


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a contiguous numpy array; bfloat16 and float8 as their ml_dtypes, which numpy lacks."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if tensor.dtype is torch.float8_e4m3fn:
        return tensor.view(torch.uint8).numpy().view(ml_dtypes.float8_e4m3fn)
    return tensor.numpy()


def write_graph(traced: TracedGraph, graph: Path, data: Path, report: Report | None = None) -> None:
    """Write the graph and its external data beside it, tensor by tensor, page-aligned."""

    def tell(_: object, info: ir.external_data.CallbackInfo) -> None:
        if report:
            report((info.index + 1) / info.total)

    ir.save(
        traced.model,
        graph,
        external_data=data.name,
        size_threshold_bytes=_EXTERNAL_FROM_BYTES,
        callback=tell,
        max_workers=1,  # one tensor in memory
        alignment=_ALIGNMENT,
    )
