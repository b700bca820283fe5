"""One of our bundles: `answer_bundle.py LETTERS FULL ROWS`, two bundles and the edited graph in the second one.

Letters come from `Engine`, as everybody gets them; every row's logits from the edited graph, by ONNX Runtime with
the engine's own session options.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rim_runtime import Engine
from rim_runtime.engines.ort_cpu import SESSION_ENTRIES
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from serving import THREADS, Prompt, serve

LETTERS, FULL, ROWS = sys.argv[1:]


@cache
def engine(bundle: str) -> Engine:
    """Return the engine of a bundle, loaded when it is first asked."""
    return Engine.load(bundle, engine="ort-cpu", threads=THREADS)


@cache
def session() -> Any:
    """Return a session on the edited graph."""
    library = import_onnxruntime()
    options = library.SessionOptions()
    options.intra_op_num_threads = THREADS
    for key, value in SESSION_ENTRIES.get(engine(LETTERS).precision, {}).items():
        options.add_session_config_entry(key, value)
    return library.InferenceSession(str(Path(FULL) / ROWS), options, providers=["CPUExecutionProvider"])


def all_rows(ids: list[int]) -> np.ndarray:
    """Return the logits of every position, float32 [tokens, vocabulary]."""
    (logits,) = session().run(None, {"question_ids": np.array([ids], np.int64)})
    return logits[0]


def rows(prompt: Prompt) -> None:
    """Write every row's logits to the file that is named."""
    np.save(prompt["target"], all_rows(prompt["ids"]))


def letters(prompt: Prompt, bundle: str = LETTERS) -> list[float]:
    """Return the letters' logits, in the manifest's order."""
    return list(engine(bundle).ask(prompt["question"], blocks=prompt["blocks"]).letter_logits.values())


def edit_differs(prompt: Prompt) -> float:
    """Return how far the edited graph's last row is from the bundle that it was made of, in letters' logits."""
    edited = all_rows(prompt["ids"])[-1, prompt["letters"]]
    return float(np.abs(edited - letters(prompt, FULL)).max())


if __name__ == "__main__":
    ready = {"engine": "ort-cpu", "onnxruntime": import_onnxruntime().__version__}
    serve({"rows": rows, "letters": letters, "edit_differs": edit_differs}, ready)
