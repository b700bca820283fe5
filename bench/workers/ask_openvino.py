"""OpenVINO on its own model, its inputs those of our bundles: `ask_openvino.py MODEL.xml CONTRACT.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from quiet import import_quietly
from serving import THREADS, Prompt, serve

SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": str(THREADS)}


def main() -> None:
    """Compile and serve."""
    contract = json.loads(Path(sys.argv[2]).read_text())
    openvino = import_quietly("openvino")
    compiled = openvino.Core().compile_model(sys.argv[1], "CPU", SETTINGS)
    before, behind, blocks = contract["before"], contract["behind"], contract["blocks"]

    def ask(prompt: Prompt) -> int:
        segment = np.array([prompt["ids"][before : len(prompt["ids"]) - behind]], np.int64)
        feed = {
            "question_ids": segment,
            "question_length": np.array([segment.shape[1]], np.int64),
            "blocks": np.array([blocks], np.int64),
        }
        return int(compiled.create_infer_request().infer(feed)[0].argmax())

    serve({"ask": ask}, {"openvino": openvino.__version__})


if __name__ == "__main__":
    main()
