"""ONNX Runtime's own dynamic quantizer: `quantize_ort.py GRAPH.onnx TARGET.onnx`. W8A8, per channel.

Its defaults but for one thing: it takes ONNX's Attention (opset 23) for its own operator of that name, writes
QAttention, and the graph means something else. So it is told which operators to quantize.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rim_runtime.libraries.onnxruntime import import_onnxruntime

OPERATORS = ["MatMul", "Gather"]
"""Those of our graphs that it quantizes, but for Attention."""


def main() -> None:
    """Quantize one graph."""
    graph, target = map(Path, sys.argv[1:])
    import_onnxruntime()  # with its usage reporting off
    tools = importlib.import_module("onnxruntime.quantization")
    tools.quantize_dynamic(
        graph, target, per_channel=True, weight_type=tools.QuantType.QInt8, op_types_to_quantize=OPERATORS
    )


if __name__ == "__main__":
    main()
