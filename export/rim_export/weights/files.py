"""A graph and its weights as files, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from rim_export.graph.convert import UnboundGraph
from rim_export.progress import Report

_ALIGNMENT = 4096
_EXTERNAL_FROM_BYTES = 1024


def write_graph(unbound: UnboundGraph, graph: Path, data: Path, report: Report | None = None) -> None:
    """Write the graph and its external data beside it, tensor by tensor, page-aligned."""

    def tell(_: object, info: ir.external_data.CallbackInfo) -> None:
        if report:
            report((info.index + 1) / info.total)

    ir.save(
        unbound.model,
        graph,
        external_data=data.name,
        size_threshold_bytes=_EXTERNAL_FROM_BYTES,
        callback=tell,
        max_workers=1,  # keeps one tensor in memory at a time
        alignment=_ALIGNMENT,
    )
