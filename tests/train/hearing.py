"""A listener made of functions, for tests that want to hear one kind of news."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rim_edge.training.callbacks import Listener


class Hearing(Listener):
    """`Hearing(step=…, scored=…)`: each takes what the listener's method of that name takes."""

    def __init__(self, **heard: Callable[[Any], None]) -> None:
        vars(self).update(heard)
