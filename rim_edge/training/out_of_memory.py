"""Out-of-memory errors that say what to change in the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rim_edge.errors import OutOfMemoryError
from rim_edge.recipe.recipe import Resources
from rim_edge.training.memory import remedies


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of a GPU's memory, or the machine's."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def report_out_of_memory(resources: Resources) -> Iterator[None]:
    """Turn torch's out-of-memory error, a GPU's or the machine's, into one that names the remedies.

    Raises OutOfMemoryError. If the system kills the process instead, as Linux may, nothing is reported.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().split("\n")[0]
        raise OutOfMemoryError(
            f"Memory ran out ({reason}). Go on with --resume and a recipe with {remedies(resources)}."
        ) from None
