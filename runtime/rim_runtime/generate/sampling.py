"""How the next token is chosen from its logits."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rim_runtime.engines.backend import Floats
from rim_runtime.errors import InputError

MOST_SAMPLES = 1_000
"""Texts of one question at most: all of them are in memory at once."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; by default the likeliest is taken. Raises InputError for values that are none."""

    temperature: float = 0.0
    """What logits are divided by; 0 takes the likeliest token."""
    top_p: float = 1.0
    """Only the likeliest tokens are drawn whose probabilities together reach this share, above 0 up to 1."""
    seed: int = 0
    """The same seed draws the same tokens from the same logits; each sample of a question draws by itself."""

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and self.temperature >= 0):
            raise InputError(
                f"temperature is {self.temperature!r}, expected a number from 0: the likeliest token."
            )
        if not (_is_number(self.top_p) and 0 < self.top_p <= 1):
            raise InputError(f"top_p is {self.top_p!r}, expected a number above 0 and up to 1: all tokens.")
        try:
            object.__setattr__(self, "seed", operator.index(self.seed))
        except TypeError:
            raise InputError(f"seed is {self.seed!r}, expected a whole number from 0.") from None
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}, expected a whole number from 0.")


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


LIKELIEST = Sampling()
"""Always the likeliest token."""


class Drawer:
    """Draws the tokens of one text."""

    def __init__(self, sampling: Sampling, sample: int) -> None:
        """`sample` is the text's number among those of its question, from 0."""
        self._sampling = sampling
        self._random = np.random.default_rng((sampling.seed, sample))

    def draw(self, logits: Floats) -> int:
        """Return a token by its logits, float32 [vocabulary], all finite; of equal ones the first is likeliest."""
        if self._sampling.temperature == 0:
            return int(logits.argmax())
        with np.errstate(over="ignore"):  # a temperature near 0: exp(-inf) is 0
            scaled = (logits.astype(np.float64) - float(logits.max())) / self._sampling.temperature
        weights = np.exp(scaled)
        order = np.argsort(-weights, kind="stable")
        sums = np.cumsum(weights[order])
        reached = np.searchsorted(sums, self._sampling.top_p * sums[-1])
        total = sums[min(int(reached), len(sums) - 1)]
        return int(order[np.searchsorted(sums, self._random.random() * total, side="right")])
