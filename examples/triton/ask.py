"""Ask a bundle that a Triton server has, as `rim-edge bundle triton BUNDLE models` wrote it.

    pip install rim-edge "tritonclient[grpc]"
    python examples/triton/ask.py localhost:8001 models/NAME "Which one is it?" "this" "that"

The client makes the tokens, so it needs manifest.json and tokenizer.json of the model's folder, and no engine.
"""

import sys
from pathlib import Path

import numpy as np
from rim_runtime import Manifest, PromptEncoder, Question
from tritonclient.grpc import InferenceServerClient, InferInput

STEP = 32
"""Questions are padded to a multiple of so many tokens: Triton batches requests of the same shape."""


def main(server: str, folder: Path, text: str, choices: list[str]) -> None:
    """Ask one question and print its letter."""
    manifest = Manifest.from_json((folder / "manifest.json").read_text(encoding="utf-8"), str(folder))
    encoder = PromptEncoder.load(manifest.prompt, folder / "tokenizer.json", manifest.limits.question_tokens)
    question = Question(text, choices)
    ids = encoder.encode(question.rendered())
    offered = question.offered() or dict.fromkeys(manifest.letters, "")
    length = min(-(-len(ids) // STEP) * STEP, manifest.limits.question_tokens)
    inputs = {
        "question_ids": np.array([[*ids, *[0] * (length - len(ids))]], np.int64),
        "question_length": np.array([[len(ids)]], np.int64),
        "blocks": np.array([[manifest.prompt.blocks]], np.int64),
    }
    logits = dict(zip(manifest.letters, ask(server, manifest.name, inputs), strict=True))
    letter = max(offered, key=lambda one: float(logits[one]))
    print(f"{letter}: {offered[letter]}" if offered[letter] else letter)


def ask(server: str, model: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the letters' logits, float32 [letters], of one question."""
    given = []
    for name, value in inputs.items():
        tensor = InferInput(name, value.shape, "INT64")
        tensor.set_data_from_numpy(value)
        given.append(tensor)
    with InferenceServerClient(server) as client:
        return client.infer(model, given).as_numpy("letter_logits")[0]


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: ask.py HOST:PORT models/NAME QUESTION [CHOICE ...]")
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
