"""A trace: what a model would answer after 0, 1, …, K memory blocks, and the first tokens of such texts."""

from __future__ import annotations

from dataclasses import dataclass

from rim_runtime.answer import Answer


@dataclass(frozen=True)
class FirstToken:
    """The likeliest first token of a text."""

    token: int
    """Its id."""
    text: str
    """The token as text; empty for one that ends a text, or controls it."""
    probability: float
    """Its share of all tokens; not calibrated."""


@dataclass(frozen=True)
class Trace:
    """What was read out behind every memory block, in one pass. Nothing in it can be altered."""

    answers: tuple[Answer, ...]
    """The answer behind 0, 1, …, K blocks, as `Engine.ask(…, blocks=k)` gives it; each takes its share of the
    time."""
    first_tokens: tuple[FirstToken, ...]
    """What a text would begin with behind 0, 1, …, K blocks; empty where the bundle writes no text."""
    latency_ms: float
    """Milliseconds from text to trace."""

    @property
    def letters(self) -> tuple[str, ...]:
        """The letter behind 0, 1, …, K blocks."""
        return tuple(answer.letter for answer in self.answers)

    @property
    def changes(self) -> tuple[int, ...]:
        """The numbers of blocks behind which the letter is another than one block earlier."""
        letters = self.letters
        return tuple(k for k in range(1, len(letters)) if letters[k] != letters[k - 1])

    @property
    def settled(self) -> int:
        """The fewest blocks from which on the letter stays the same."""
        return self.changes[-1] if self.changes else 0
