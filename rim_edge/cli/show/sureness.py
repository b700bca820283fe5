"""How sure an answer is, where the bundle was calibrated here, and whether that is enough."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rim_runtime.answer import Answer
    from rim_runtime.calibration import Calibration

ABSTAINED = 5
"""The exit code of an answer that was held back."""


class Abstained(typer.Exit):
    """The answer was not sure enough; it was said so."""

    def __init__(self) -> None:
        super().__init__(ABSTAINED)


@dataclass(frozen=True)
class Sureness:
    """An answer with what is known of its confidence."""

    answer: Answer
    calibration: Calibration | None
    """None: the bundle was not calibrated here with these blocks."""
    least: float | None = None
    """The confidence from which an answer is given; None: always."""

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The offered letters', calibrated where that is possible."""
        given = self.answer.probabilities
        return given if self.calibration is None else self.calibration.probabilities(given)

    @property
    def confidence(self) -> float:
        """The answer's own."""
        return self.probabilities[self.answer.letter]

    @property
    def is_held_back(self) -> bool:
        """Whether the answer is not sure enough to be given."""
        return self.least is not None and self.confidence < self.least

    @property
    def words(self) -> str | None:
        """What a person is told of it; None without a calibration."""
        found = self.calibration
        if found is None:
            return None
        letters = " or ".join(found.letters(self.answer.probabilities))
        return (
            f"calibrated on {found.questions:,} questions of {found.data}; "
            f"with {100 * found.coverage:.0f} % it is {letters}"
        )

    @property
    def letter_body(self) -> dict[str, Any]:
        """The answer as JSON has it: its own fields, without a letter if it is held back, and `calibrated`."""
        own = dataclasses.asdict(self.answer)
        return own | ({"letter": None, "choice": None} if self.is_held_back else {}) | self._calibrated

    @property
    def _calibrated(self) -> dict[str, Any]:
        found = self.calibration
        if found is None:
            return {}
        told = {
            "probabilities": dict(self.probabilities),
            "confidence": self.confidence,
            "letters": list(found.letters(self.answer.probabilities)),
            "coverage": found.coverage,
            "temperature": found.temperature,
            "questions": found.questions,
            "data": found.data,
            "held_back": self.is_held_back,
        }
        return {"calibrated": told}
