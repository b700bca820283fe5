"""OpenVINO on its own models: `answer_openvino.py LETTERS.xml ROWS.xml`."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np
from quiet import import_quietly
from serving import THREADS, Prompt, serve

openvino = import_quietly("openvino")
LETTERS, ROWS = sys.argv[1:]
SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": str(THREADS)}


@cache
def request(model: str) -> Any:
    """Return a request of a model, compiled when it is first asked."""
    return openvino.Core().compile_model(model, "CPU", SETTINGS).create_infer_request()


def rows(prompt: Prompt) -> None:
    """Write every row's logits to the file that is named."""
    np.save(prompt["target"], request(ROWS).infer({"question_ids": np.array([prompt["ids"]], np.int64)})[0][0])


def letters(prompt: Prompt) -> list[float]:
    """Return the letters' logits."""
    segment = np.array([prompt["segment"]], np.int64)
    length, blocks = np.array([segment.shape[1]], np.int64), np.array([prompt["blocks"]], np.int64)
    feed = {"question_ids": segment, "question_length": length, "blocks": blocks}
    return [float(value) for value in request(LETTERS).infer(feed)[0][0]]


if __name__ == "__main__":
    serve({"rows": rows, "letters": letters}, {"openvino": openvino.__version__})
