"""onnxruntime-genai on a model of its own builder: `ask_genai.py FOLDER`.

Just what we do: the prompt's ids in one prefill, logits of its last row.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnxruntime_genai as genai
from serving import THREADS, Prompt, serve

ROOM = 1024
"""Tokens its key-value cache has room for."""


def main() -> None:
    """Load and serve."""
    folder = Path(sys.argv[1])
    settings = genai.Config(str(folder))
    settings.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": THREADS}}}}))
    model = genai.Model(settings)
    parameters = genai.GeneratorParams(model)
    parameters.set_search_options(max_length=ROOM, do_sample=False)
    generator = genai.Generator(model, parameters)

    def ask(prompt: Prompt) -> int:
        generator.rewind_to(0)
        generator.append_tokens([prompt["ids"]])
        return int(generator.get_logits()[0, -1].argmax())

    serve({"ask": ask}, {"onnxruntime-genai": genai.__version__})


if __name__ == "__main__":
    main()
