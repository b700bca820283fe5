"""How fast a run goes: means over its last steps, without what happens between steps (saving, scoring)."""

from __future__ import annotations

from collections import deque

from rim_edge.train.moment import RECENT


class Pace:
    """The last steps' tokens and times, 20 at most."""

    def __init__(self) -> None:
        self._tokens: deque[int] = deque(maxlen=RECENT)
        self._seconds: deque[float] = deque(maxlen=RECENT)

    def add(self, tokens: int, seconds: float) -> None:
        """Take in one more step."""
        self._tokens.append(tokens)
        self._seconds.append(seconds)

    @property
    def step_seconds(self) -> float:
        """Mean time of a step; there must be one."""
        return sum(self._seconds) / len(self._seconds)

    @property
    def tokens_per_second(self) -> float:
        """Tokens of these steps over their time."""
        return sum(self._tokens) / max(sum(self._seconds), 1e-9)
