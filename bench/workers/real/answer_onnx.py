"""A quantizer's ONNX graphs by ONNX Runtime as it comes: `answer_onnx.py LETTERS.onnx ROWS.onnx`."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from serving import THREADS, Prompt, serve

LETTERS, ROWS = sys.argv[1:]
onnxruntime = import_onnxruntime()


@cache
def session(graph: str) -> Any:
    """Return a session on a graph, opened when it is first asked."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def rows(prompt: Prompt) -> None:
    """Write every row's logits to the file that is named."""
    (logits,) = session(ROWS).run(None, {"question_ids": np.array([prompt["ids"]], np.int64)})
    np.save(prompt["target"], logits[0])


def letters(prompt: Prompt) -> list[float]:
    """Return the letters' logits."""
    segment = np.array([prompt["segment"]], np.int64)
    length, blocks = np.array([segment.shape[1]], np.int64), np.array([prompt["blocks"]], np.int64)
    feed = {"question_ids": segment, "question_length": length, "blocks": blocks}
    return [float(value) for value in session(LETTERS).run(None, feed)[0][0]]


if __name__ == "__main__":
    serve({"rows": rows, "letters": letters}, {"onnxruntime": onnxruntime.__version__})
