"""A question as it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from rim_runtime.errors import QuestionError
from rim_runtime.prompt.contract import TextForm
from rim_runtime.prompt.options import LETTERS, read_options, render_options


@dataclass(frozen=True)
class Question:
    """A question, with its options in its text or as a list, or with none.

    With a list, nothing in the text is read as an option, so the text may end with a dialogue of A and B or with
    labelled findings. The empty list says that there are none. Without a list, options are read from the end of
    the text (`read_options`).

    White space around the text and around each choice is no part of them: files and text boxes end in a line
    break, the questions that models are trained on do not, and a tokenizer joins it to the last word.
    """

    text: str
    """The question; lines `A: …`, `B: …` at its end are its options."""
    choices: Sequence[str] | None = None
    """The options, two to ten, as anything that `as_choices` takes; an empty list: there are none; None: they are
    in the text, if there are any."""
    form: TextForm = TextForm.MODEL
    """What its answer follows where it is in words; letters are read behind blocks and prefix."""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise QuestionError(f"The question is a {type(self.text).__name__}, expected a text.")
        if self.choices is not None:
            object.__setattr__(self, "choices", as_choices(self.choices))

    def rendered(self) -> str:
        """Return the whole text that the model sees, choices included. Raises QuestionError."""
        if not self.text.strip():
            raise QuestionError("The question is empty, expected some text. Write the question in quotes.")
        text = self.text.strip()
        return (
            render_options(text, [choice.strip() or choice for choice in self.choices]) if self.choices else text
        )

    def offered(self) -> Mapping[str, str]:
        """Return the options as `{letter: text}`; empty where the question has none.

        Raises QuestionError where the text seems to have options and it is not clear which letters they offer.
        """
        return read_options(self.text) if self.choices is None else dict(zip(LETTERS, self.choices, strict=False))


def as_choices(given: Iterable[str] | Mapping[str, str]) -> tuple[str, ...]:
    """Return choices as a tuple: of any iterable of texts, read once, or of a mapping `{"A": text, "B": …}`.

    Raises QuestionError for a mapping with other keys or another order, for a set, which has no order, and for
    anything that is not an iterable of texts.
    """
    values: Any = given
    if isinstance(given, Mapping):
        if list(given) != list(LETTERS[: len(given)]):
            raise QuestionError(
                f"The choices have the keys {_short(list(given))}, expected A, B, C, … in order, up to "
                f"{LETTERS[-1]}. Give them such keys, or give a list of texts."
            )
        values = given.values()
    if isinstance(values, str | bytes | Set) and not isinstance(given, Mapping):
        raise _no_list(given)
    try:
        choices = tuple(values)
    except TypeError:  # not iterable
        raise _no_list(given) from None
    if not all(isinstance(choice, str) for choice in choices):
        raise _no_list(given if isinstance(given, Mapping | Sequence) else choices)
    return tuple(str.__str__(choice) for choice in choices)  # texts of other libraries become plain ones


def _no_list(found: object) -> QuestionError:
    return QuestionError(
        f"The choices are {_short(found)}, expected a list of texts. Give one text a choice, in order."
    )


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:99]}…"
