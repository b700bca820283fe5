"""OpenVINO's own full int8 of a graph: `quantize_nncf.py FP32.onnx CALIBRATION.json TARGET.xml`.

NNCF's post-training quantization with its settings for transformers (SmoothQuant, per-channel weights, static
activations), calibrated on real questions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from quiet import import_quietly


def main() -> None:
    """Calibrate, quantize, save."""
    graph, calibration, target = sys.argv[1:]
    openvino, nncf = import_quietly("openvino"), import_quietly("nncf")
    contract = json.loads(Path(calibration).read_text())

    def feed(ids: list[int]) -> dict[str, np.ndarray]:
        return {
            "question_ids": np.array([ids], np.int64),
            "question_length": np.array([len(ids)], np.int64),
            "blocks": np.array([contract["blocks"]], np.int64),
        }

    questions = contract["questions"]
    quantized = nncf.quantize(
        openvino.Core().read_model(graph),
        nncf.Dataset(questions, feed),
        subset_size=len(questions),
        model_type=nncf.ModelType.TRANSFORMER,
    )
    openvino.save_model(quantized, target, compress_to_fp16=False)


if __name__ == "__main__":
    main()
