"""How far an answer must lead to be called one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rim_runtime.answer import Answer


class ClearLead(Enum):
    """The smallest lead of a clear answer, as a difference of shares."""

    MODEL = 0.2
    """With two options it is 60 to 40: below, a model is nearly tossing a coin."""
    DEMO = 0.35
    """The demo was taught to be unsure of what is none of its puzzles. Of 480 medical questions with two options
    none has this lead; of its own puzzles, 98 of 100 have it, and of the others every second answer is wrong."""

    def reached(self, answer: Answer) -> bool:
        """Whether an answer leads so far."""
        return answer.lead >= self.value
