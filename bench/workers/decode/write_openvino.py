"""OpenVINO GenAI on a model that optimum-intel converted: `write_openvino.py FOLDER`.

It writes a whole text at a call, and says itself when the first token was there.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from quiet import import_quietly
from serving import THREADS, Prompt, serve


def main() -> None:
    """Load and serve."""
    openvino = import_quietly("openvino")
    genai = import_quietly("openvino_genai")
    pipeline = genai.LLMPipeline(sys.argv[1], "CPU", INFERENCE_NUM_THREADS=THREADS)

    def written(prompt: Prompt, rows: int) -> dict[str, Any]:
        ids = np.array([prompt["ids"]] * rows, np.int64)
        given = genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
        settings = genai.GenerationConfig()
        settings.max_new_tokens, settings.ignore_eos, settings.do_sample = prompt["tokens"] + 1, True, False
        found = pipeline.generate(given, settings)
        times = found.perf_metrics
        first, whole = times.get_ttft().mean / 1000, times.get_generate_duration().mean / 1000
        count = prompt["tokens"] * rows
        return {"first_s": first, "decode_s": whole - first, "tokens": count, "text": list(found.tokens[0])}

    asks = {
        "one": lambda prompt: written(prompt, 1),
        "many": lambda prompt: written(prompt, prompt["samples"]),
    }
    serve(asks, {"openvino": openvino.__version__, "openvino-genai": genai.__version__})


if __name__ == "__main__":
    main()
