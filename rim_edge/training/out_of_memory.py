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


def in_passes(resources: Resources) -> str:
    """Return what to do where a pass takes too much."""
    return f"Take a recipe with {remedies(resources)}; {_GO_ON}"


_GO_ON = "a run that has saved a state goes on with --resume."
AROUND_THE_STEPS = f"Close what else holds memory, or take a machine with more; {_GO_ON}"
"""What to do where the model itself, its scores or its checkpoint take too much."""


@contextmanager
def report_out_of_memory(remedy: str) -> Iterator[None]:
    """Turn torch's out-of-memory error, a GPU's or the machine's, into one that says what to do.

    Raises OutOfMemoryError. If the system kills the process instead, as Linux may, nothing is reported.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().split("\n")[0]
        raise OutOfMemoryError(f"Memory ran out ({reason}). {remedy}") from None
