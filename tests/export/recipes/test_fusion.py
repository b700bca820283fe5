"""What ONNX Runtime makes of the int8 graph: speed depends on every big product becoming one integer kernel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
from rim_runtime.libraries.onnxruntime import import_onnxruntime

from tests.places import DEMO_PACKAGE

LAYERS = 6
DEMO = DEMO_PACKAGE / "bundle"


def test_every_product_of_the_demo_runs_in_integers(tmp_path: Path) -> None:
    library = import_onnxruntime()
    options = library.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = library.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    library.InferenceSession(str(DEMO / "model.int8.onnx"), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "optimized.onnx", load_external_data=False).graph
    kinds = Counter(node.op_type for node in graph.node)
    # A layer has five: q, k and v side by side; the attention's output; gate; up; down.
    assert kinds["MatMulIntegerToFloat"] == 5 * LAYERS
    assert kinds["DequantizeLinear"] == 0
    # In fp32: the turn of what goes into each layer's down_proj, and the letters' readout.
    assert kinds["MatMul"] + kinds["Gemm"] == LAYERS + 1
