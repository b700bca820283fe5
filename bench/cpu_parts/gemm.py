"""What this machine's matrix products take at their best, and how fast a whole model could be with them."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from harness.place import BENCH, Place, our_environment
from harness.row import Row

NAME = "matrix products"
KINDS = ("int8", "int8 streamed", "fp32")
"""As workers/multiply.py answers."""
Times = Mapping[str, Mapping[str, float]]
"""Seconds by product and form."""


def gemm_row(place: Place) -> Row:
    """Return the row that multiplies at the real layers' shapes."""
    config = place.checkpoint(place.layers) / "config.json"
    command = (sys.executable, str(BENCH / "workers" / "multiply.py"), str(config))
    return Row(NAME, command, our_environment(place.home), config, 1, asks=KINDS, ours=True)


def gemm_summary(result: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """Summarise the rounds of `gemm_row`: {kind: {length: best form and GOPS of each product, allowed time}}.

    `model_s` is the sum over a model's products, each in its best form at its median; `best_gops` is the highest
    of all products, and `model_at_best_s` the time of a model that ran at it throughout.
    """
    shapes = result["ready"]["products"]
    return {
        kind: {length: _of_length(shapes, rounds[1:], int(length), layers) for length, rounds in lengths.items()}
        for kind, lengths in result["answers"].items()
    }


def _of_length(
    shapes: Mapping[str, Sequence[int]],
    rounds: Sequence[Times],
    rows: int,
    layers: int,
) -> dict[str, Any]:
    products = {}
    for product, (inputs, outputs) in shapes.items():
        times = {form: statistics.median(r[product][form] for r in rounds) for form in rounds[0][product]}
        form = min(times, key=times.__getitem__)
        operations = 2 * rows * inputs * outputs
        products[product] = {
            "form": form,
            "seconds": times[form],
            "gops": round(operations / times[form] / 1e9),
            "operations": operations,
        }
    best = max(product["gops"] for product in products.values())
    total = sum(product["operations"] for product in products.values())
    return {
        "products": products,
        "best_gops": best,
        "model_s": round(layers * sum(product["seconds"] for product in products.values()), 4),
        "model_at_best_s": round(layers * total / best / 1e9, 4),
    }
