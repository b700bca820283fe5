"""A question as it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rim_runtime.errors import QuestionError
from rim_runtime.prompt.options import LETTERS, offered_options, render_options


@dataclass(frozen=True)
class Question:
    """A question, with its options in its text or as a list, or with none."""

    text: str
    """The question; lines `A: …`, `B: …` at its end are its options."""
    choices: Sequence[str] = ()
    """The options, two to ten, where they are not in the text."""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise QuestionError(f"The question is a {type(self.text).__name__}, expected a text.")
        if isinstance(self.choices, str) or not all(isinstance(choice, str) for choice in self.choices):
            raise QuestionError(f"The choices are {self.choices!r}, expected a list of texts.")
        object.__setattr__(self, "choices", tuple(self.choices))

    def rendered(self) -> str:
        """Return the whole text that the model sees, choices included. Raises QuestionError."""
        if not self.text.strip():
            raise QuestionError("The question is empty, expected some text. Write the question in quotes.")
        return render_options(self.text, self.choices) if self.choices else self.text

    def offered(self) -> Mapping[str, str]:
        """Return the options as `{letter: text}`; empty where the question has none."""
        return dict(zip(LETTERS, self.choices, strict=False)) if self.choices else offered_options(self.text)
