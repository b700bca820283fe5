"""How fast this machine reads memory: `read_memory.py`, the floor of a token, which reads every weight once.

A matrix of 1 GiB times a vector, as a token multiplies, and a plain sum; the faster one counts.
"""

from __future__ import annotations

import time

import torch
from serving import THREADS, Prompt, serve

BYTES = 2**30
WIDTH = 4096
REPEATS = 3


def main() -> None:
    """Make the matrix and serve."""
    torch.set_num_threads(THREADS)
    matrix = torch.rand(BYTES // 4 // WIDTH, WIDTH)
    vector = torch.rand(WIDTH)

    @torch.inference_mode()
    def read(prompt: Prompt) -> dict[str, float]:
        """Return bytes a second of each way."""
        ways = {"product": lambda: matrix @ vector, "sum": lambda: matrix.sum()}
        found = {}
        for name, way in ways.items():
            seconds = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                way()
                seconds.append(time.perf_counter() - began)
            found[name] = BYTES / min(seconds)
        return found

    serve({"read": read}, {"torch": torch.__version__})


if __name__ == "__main__":
    main()
