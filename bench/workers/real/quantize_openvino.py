"""OpenVINO's quantizers on an ONNX graph: `quantize_openvino.py GRAPH.onnx TARGET.xml KIND CALIBRATION.json`.

KIND `weights`: int8 weights, asymmetric, the rest as it is (`nncf.compress_weights`). `full`: int8 weights and
activations (`nncf.quantize`, its settings for transformers), calibrated on the feeds in CALIBRATION.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from quantize_nncf import repeat_heads
from quiet import import_quietly

openvino, nncf = import_quietly("openvino"), import_quietly("nncf")


def main() -> None:
    """Read, quantize, save."""
    graph, target, kind, calibration = sys.argv[1:]
    given = json.loads(Path(calibration).read_text())
    model = openvino.Core().read_model(graph)
    repeat_heads(openvino, model, *given["heads"])
    if kind == "weights":
        made = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    else:
        names = {name for port in model.inputs for name in port.get_names()}

        def feed(question: dict[str, object]) -> dict[str, np.ndarray]:
            return {name: np.array(value, np.int64) for name, value in question.items() if name in names}

        key = "letters" if "blocks" in names else "rows"
        feeds = given[key]
        made = nncf.quantize(
            model, nncf.Dataset(feeds, feed), subset_size=len(feeds), model_type=nncf.ModelType.TRANSFORMER
        )
    openvino.save_model(made, target, compress_to_fp16=False)


if __name__ == "__main__":
    main()
