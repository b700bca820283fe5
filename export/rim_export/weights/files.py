"""Graphs and their weights as files, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import onnx_ir as ir

from rim_export.graph.convert import UnboundGraph
from rim_export.progress import Report

_ALIGNMENT = 4096
_LARGEST_INLINE = 1024


def write_graph(unbound: UnboundGraph, graph: Path, data: Path, report: Report | None = None) -> None:
    """Write the graph and its external data beside it, tensor by tensor, page-aligned."""

    def tell(_: object, info: ir.external_data.CallbackInfo) -> None:
        if report:
            report((info.index + 1) / info.total)

    ir.save(
        unbound.model,
        graph,
        external_data=data.name,
        size_threshold_bytes=_LARGEST_INLINE,
        callback=tell,
        max_workers=1,  # keeps one tensor in memory at a time
        alignment=_ALIGNMENT,
    )


def add_graph(unbound: UnboundGraph, graph: Path, others: Sequence[Path], data: Path) -> None:
    """Write a further graph over the weights of other graphs, which were written before.

    Tensors of the same name are the same: the new graph reads them from where they are. The others are added to
    the end of `data`, page-aligned. Raises AssertionError if a tensor of the same name has another form.
    """
    there = {
        name: value.const_value
        for other in others
        for name, value in ir.load(other).graph.initializers.items()
        if isinstance(value.const_value, ir.ExternalTensor)
    }
    with data.open("ab") as file:
        for name, value in unbound.model.graph.initializers.items():
            tensor = value.const_value
            assert tensor is not None
            if tensor.nbytes <= _LARGEST_INLINE or value.is_graph_input():
                continue
            found = there.get(name)
            if found is not None and (found.dtype, found.shape) != (tensor.dtype, tensor.shape):
                raise AssertionError(f"{name} has another form: {tensor.dtype} {tensor.shape}, {found}")
            value.const_value = found or _append(tensor, name, file, data)
    ir.save(unbound.model, graph)


def _append(tensor: ir.TensorProtocol, name: str, file: BinaryIO, data: Path) -> ir.ExternalTensor:
    file.write(bytes(-file.tell() % _ALIGNMENT))
    start = file.tell()
    file.write(tensor.tobytes())
    return ir.ExternalTensor(
        data.name,
        start,
        file.tell() - start,
        tensor.dtype,
        shape=ir.Shape(tensor.shape.numpy()),
        name=name,
        base_dir=data.parent,
    )
