"""The right answer of a row: a letter where it has options, else a text.

Sets write it as a letter, as a number, as the option's text, or as several of these; all must say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from rim_runtime.errors import QuestionError, RowError
from rim_runtime.prompt.options import LETTERS, offered_options, read_options
from rim_runtime.rows.keys import given_answers
from rim_runtime.rows.options import Options

_TEXT = "answer_text"
_MAY_BE_OPEN = ("answer", "Answer", _TEXT)
_NUMBERS_AS_TEXT = ("answer_idx", "answer_index", "cop")


class Counting(IntEnum):
    """The number of the first option, where the answer is a number."""

    FROM_0 = 0
    FROM_1 = 1


@dataclass(frozen=True)
class Answers:
    """What a row says about its right answer, not yet read."""

    given: Mapping[str, Any]
    """The keys that hold something."""
    options: Options
    """The options it speaks of; none where they stand in the text, or where there are none."""
    counting: Counting | None
    """What its form says about numbers: MMLU's and MMLU-Pro's count from 0."""
    letters: bool = False
    """Whether the row says that its answer is a letter though it has no options."""

    def numbers(self) -> list[int]:
        """Return the numbers in it that number an option."""
        if not self.options.texts:
            return []
        return [number for key, value in self.given.items() if (number := _number(self, key, value)) is not None]

    def letter(self, counting: Counting | None) -> str | None:
        """Return the letter of the right option, None where the row has no answer. Raises RowError.

        `counting` is what the row's file shows about numbers (`counting_of`).
        """
        left = set(range(len(self.options.texts)))
        said: list[str] = []
        for key, value in self.given.items():
            left &= _places(self, key, value, self.counting if self.counting is not None else counting)
            said.append(f"'{key}' is {_short(value)}")
            if not left:
                raise RowError(f"{' and '.join(said)}, expected the same option.")
        if not said:
            return None
        if len(left) > 1:
            raise RowError(f"{said[-1]}, and {len(left)} options have this text, expected one. Give a letter.")
        return LETTERS[left.pop()]


def answers_of(row: Mapping[str, Any], options: Options) -> Answers:
    """Return what a row says about its right answer."""
    given = given_answers(row)
    by_form = ("choices" in row and "answer" in given) or "answer_index" in given
    letters = row.get("letters")
    if letters is not None and (letters != LETTERS or options.texts):
        raise RowError(
            f"'letters' is {_short(letters)}, expected {LETTERS} in a row without options: a model answers all "
            "of them."
        )
    return Answers(given, options, Counting.FROM_0 if by_form else None, letters is not None)


def counting_of(answers: Iterable[Answers]) -> Counting | None:
    """Return where the numbers of a file count from: it has a 0, or one as large as the number of options.

    None where it has neither. Raises RowError where it has both, and where its form counts from 0 and it does not.
    """
    given = list(answers)
    zero, last = _ends(answer for answer in given if answer.counting is None)
    if zero and last:
        raise RowError(
            f"its answers are numbers, and one is 0 and one is {last} of {last} options, expected numbers from 0 "
            "or numbers from 1. Write letters."
        )
    formed_zero, formed_last = _ends(answer for answer in given if answer.counting is Counting.FROM_0)
    if formed_last and not formed_zero:
        raise RowError(
            f"its answers are numbers, and one is {formed_last} of {formed_last} options and none is 0, expected "
            "numbers from 0 beside 'choices' or in 'answer_index'. Write letters."
        )
    return Counting.FROM_0 if zero else Counting.FROM_1 if last else None


def _ends(answers: Iterable[Answers]) -> tuple[bool, int | None]:
    """Return whether a number is 0, and one that is as large as the number of its options."""
    zero, last = False, None
    for answer in answers:
        numbers, count = answer.numbers(), len(answer.options.texts)
        zero = zero or 0 in numbers
        last = count if count in numbers else last
    return zero, last


def text_answer(answers: Answers, question: str) -> str | None:
    """Return the answer of a row whose options, if any, stand in the question's text: a letter, or a text.

    Raises RowError where it does not fit the options there, and for a letter where there are none.
    """
    said = {key: _in_text(key, value, question, answers.letters) for key, value in answers.given.items()}
    if len(set(said.values())) > 1:
        shown = " and ".join(f"'{key}' is {_short(value)}" for key, value in answers.given.items())
        raise RowError(f"{shown}, expected the same answer.")
    return next(iter(said.values()), None)


def _in_text(key: str, value: Any, question: str, letters: bool) -> str:
    if not isinstance(value, str):
        raise RowError(f"'{key}' is {_short(value)}, expected some text, and the row has no options to number.")
    said = value.strip()
    if exact := offered_options(question):
        return _of_offered(key, said, exact)
    single = len(said) == 1 and said in LETTERS
    try:
        offered = read_options(question)
    except QuestionError as error:
        if single:
            raise RowError(str(error)) from None
        return said
    if not offered and single and letters:
        return said
    if not offered and (single or key not in _MAY_BE_OPEN):
        raise RowError(
            f"'{key}' is {said!r} and the row has no options, expected them in 'options', in 'choices' or at the "
            "end of the question ('A: text', 'B: text', …). If it names a letter all the same, say so: "
            f'"letters": "{LETTERS}".'
        )
    return _of_offered(key, said, offered) if single or said in offered.values() else said


def _of_offered(key: str, said: str, offered: Mapping[str, str]) -> str:
    """Return the letter that an answer names among the options in the question's text."""
    same = [letter for letter, text in offered.items() if text == said]
    if said.upper() in offered:
        return said.upper()
    if len(same) == 1:
        return same[0]
    raise RowError(
        f"'{key}' is {_short(said)} and the question's text ends in options, expected one of {', '.join(offered)}."
    )


def _places(answers: Answers, key: str, value: Any, counting: Counting | None) -> set[int]:
    """Return the places of the options that an answer may mean. Raises RowError where it means none."""
    options = answers.options
    count = len(options.texts)
    number = _number(answers, key, value)
    if number is not None:
        if not (counting or 0) <= number < count + (counting if counting is not None else 1):
            names = f"one of the letters {', '.join(LETTERS[:count])}"
            first = "0 or 1" if counting is None else counting.value
            raise RowError(f"'{key}' is {number} of {count} options counted from {first}, expected {names}.")
        if counting is None:
            raise RowError(
                f"'{key}' is {number}, and whether it counts from 0 or from 1 shows neither here nor elsewhere in "
                "the file. Write letters."
            )
        return {number - counting}
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise RowError(f"'{key}' is {_short(value)}, expected one letter or text.")
    said = str(value).strip()
    labelled = {place for place, label in enumerate(options.labels) if label == said.upper()}
    lettered = {LETTERS.index(said.upper())} if len(said) == 1 and said.upper() in LETTERS[:count] else set()
    same = {place for place, text in enumerate(options.texts) if text.strip() == said}
    if key == _TEXT:
        named: set[int] = set()
    elif options.labels:
        named = labelled or (lettered if options.labels[0] == "A" else set())
    else:
        named = lettered
    if named and same and not named <= same and not options.labels:
        raise RowError(
            f"'{key}' is {said!r}, which is a letter and the text of another option, expected one meaning. Give "
            'the options as an object ({"A": …}).'
        )
    if not (named or same):
        names = ", ".join(options.labels or LETTERS[:count])
        raise RowError(
            f"'{key}' is {_short(said)}, expected one of the offered letters {names}, or an option's text."
        )
    return named or same


def _number(answers: Answers, key: str, value: Any) -> int | None:
    """Return the number that an answer is; None for labels and texts."""
    if key in _NUMBERS_AS_TEXT and isinstance(value, str) and value.strip().isdecimal():
        value = int(value) if len(value) < 10 else value
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return None if str(value) in answers.options.labels else value


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
