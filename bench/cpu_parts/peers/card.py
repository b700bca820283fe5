"""The model card's snippet and its forward pass: transformers, in the environment that exports."""

from __future__ import annotations

import sys

from harness.place import BENCH, Place, our_environment
from harness.row import Row


def card_row(place: Place, layers: int) -> Row:
    """Return the row of transformers on the checkpoint."""
    model = place.checkpoint(layers)
    command = (sys.executable, str(BENCH / "workers" / "ask_transformers.py"), str(model))
    return Row(
        "transformers bf16", command, our_environment(place.home), model, layers, asks=("snippet", "forward")
    )
