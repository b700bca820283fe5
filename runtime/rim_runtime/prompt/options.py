"""The options of a multiple-choice question: find them in its text, or add a list of them to it.

The only form is the model card's: the question ends with lines `A: text`, `B: text`, ….
"""

from __future__ import annotations

from collections.abc import Sequence

from rim_runtime.errors import QuestionError

LETTERS = "ABCDEFGHIJ"
"""All letters that a readout can answer (the card: up to ten options)."""


def offered_options(question: str) -> dict[str, str]:
    """Return the options at the end of the question as `{letter: text}`, or `{}` if there are none.

    Options are the lines `A: `, `B: `, … in order, at least two, with which the text ends.
    """
    lines = question.rstrip().split("\n")
    letter, colon, _ = lines[-1].partition(":")
    count = LETTERS.find(letter) + 1 if colon and len(letter) == 1 else 0
    if count < 2 or count > len(lines):
        return {}
    run = dict(zip(LETTERS, lines[-count:], strict=False))
    if not all(line.startswith(f"{letter}: ") for letter, line in run.items()):
        return {}
    return {letter: line[3:].strip() for letter, line in run.items()}


def render_options(question: str, choices: Sequence[str]) -> str:
    """Return the question followed by its choices as lettered lines.

    Raises QuestionError for an empty question, fewer than two or more than ten choices, an empty choice, a
    choice with a line break, or a question whose text already ends in options.
    """
    if not question.strip():
        raise QuestionError("The question is empty, expected some text before its choices.")
    if not 2 <= len(choices) <= len(LETTERS):
        raise QuestionError(
            f"The number of choices is {len(choices)}, expected 2 to {len(LETTERS)}. "
            "Give each choice once, or none for an open question."
        )
    for position, choice in enumerate(choices, start=1):
        if not choice.strip() or "\n" in choice or "\r" in choice:
            raise QuestionError(
                f"Choice {position} is {choice!r}, expected one line of text. Fill it in or leave it out."
            )
    if offered_options(question):
        raise QuestionError(
            "The question's text already ends in options (lines 'A: …', 'B: …') and a list of choices came too. "
            "Use one of the two."
        )
    lines = [f"{letter}: {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return "\n".join([question, *lines])
