"""optimum's dynamic recipe for VNNI: `quantize_optimum.py GRAPH.onnx TARGET.onnx`. W8A8, per channel.

Told which operators to quantize, for the reason in quantize_ort.py.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig


def main() -> None:
    """Quantize one graph."""
    graph, target = map(Path, sys.argv[1:])
    recipe = AutoQuantizationConfig.avx512_vnni(
        is_static=False, per_channel=True, operators_to_quantize=["MatMul", "Gather"]
    )
    quantizer = ORTQuantizer.from_pretrained(graph.parent, file_name=graph.name)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        quantizer.quantize(save_dir=folder, quantization_config=recipe, file_suffix="")
        (made,) = Path(folder).glob("*.onnx")
        made.rename(target)


if __name__ == "__main__":
    main()
