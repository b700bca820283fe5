"""OpenVINO's own full int8 of a graph: `quantize_nncf.py FP32.onnx CALIBRATION.json TARGET.xml`.

NNCF's post-training quantization with its settings for transformers (SmoothQuant, per-channel weights, static
activations), calibrated on real questions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from quiet import import_quietly


def repeat_heads(openvino: Any, model: Any, heads: int, key_heads: int, size: int) -> None:
    """Give every attention as many key and value heads as query heads, repeated as OpenVINO's own exports do.

    Our graph leaves grouped queries to the attention operator, [batch, heads, rows, size]. As soon as something
    stands between its parts, OpenVINO 2026.4 takes it to pieces that do not fit: "Can't merge dim 16 with dim 8".
    """
    operators = openvino.opset13
    times = np.array([1, 1, heads // key_heads, 1, 1])
    attentions = [node for node in model.get_ops() if node.get_type_name() == "ScaledDotProductAttention"]
    for port in (node.input(number) for node in attentions for number in (1, 2)):
        grouped = operators.unsqueeze(port.get_source_output(), np.array(2))
        repeated = operators.broadcast(grouped, times, broadcast_spec="BIDIRECTIONAL")
        whole = operators.reshape(repeated, np.array([0, heads, -1, size]), special_zero=True)
        port.replace_source_output(whole.output(0))


def main() -> None:
    """Calibrate, quantize, save."""
    graph, calibration, target = sys.argv[1:]
    contract = json.loads(Path(calibration).read_text())
    openvino, nncf = import_quietly("openvino"), import_quietly("nncf")
    model = openvino.Core().read_model(graph)
    repeat_heads(openvino, model, *contract["heads"])

    def feed(ids: list[int]) -> dict[str, np.ndarray]:
        return {
            "question_ids": np.array([ids], np.int64),
            "question_length": np.array([len(ids)], np.int64),
            "blocks": np.array([contract["blocks"]], np.int64),
        }

    questions = contract["questions"]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(questions, feed),
        subset_size=len(questions),
        model_type=nncf.ModelType.TRANSFORMER,
    )
    openvino.save_model(quantized, target, compress_to_fp16=False)


if __name__ == "__main__":
    main()
