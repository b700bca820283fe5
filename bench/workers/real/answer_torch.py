"""The checkpoint itself, by transformers in fp32: `answer_torch.py CHECKPOINT`."""

from __future__ import annotations

import sys

import numpy as np
import torch
import transformers
from serving import THREADS, Prompt, serve


def main() -> None:
    """Load and serve."""
    torch.set_num_threads(THREADS)
    model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()

    def logits(ids: list[int], kept: int) -> torch.Tensor:
        with torch.inference_mode():
            found: torch.Tensor = model(torch.tensor([ids]), use_cache=False, logits_to_keep=kept).logits[0]
        return found

    def rows(prompt: Prompt) -> None:
        np.save(prompt["target"], logits(prompt["ids"], 0).numpy())

    def letters(prompt: Prompt) -> list[float]:
        return [float(value) for value in logits(prompt["ids"], 1)[-1, prompt["letters"]]]

    serve(
        {"rows": rows, "letters": letters}, {"torch": torch.__version__, "transformers": transformers.__version__}
    )


if __name__ == "__main__":
    main()
