"""Questions that are in the training data and among those that are scored: test-set contamination."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rim_runtime.errors import QuestionError
from rim_runtime.prompt.options import read_options

from rim_edge.data.files import ReadFile
from rim_edge.data.rows import Example

_MOST_LINES = 60
"""Lines at a question's end that are searched for options: ten of them, wrapped and with empty lines between."""


@dataclass(frozen=True)
class Questions:
    """Questions to compare others with, as they are and without their options.

    Case, white space, forms of the same character and the last punctuation mark make no difference.
    """

    whole: frozenset[str]
    """With their options."""
    stems: frozenset[str]
    """Without."""

    @classmethod
    def of(cls, questions: Iterable[str]) -> Questions:
        """Return these questions."""
        known = list(questions)
        return cls(frozenset(map(_plain, known)), frozenset(map(_stem, known)))

    def has(self, question: str) -> bool:
        """Whether the same question is among them, with the same options in the same order."""
        return _plain(question) in self.whole

    def has_reworded(self, question: str) -> bool:
        """Whether it is among them with other options only, or with the same ones in another order."""
        return not self.has(question) and _stem(question) in self.stems


@dataclass(frozen=True)
class Leaks:
    """The questions of a file that is scored, and must not be trained on."""

    name: str
    """The file's name."""
    questions: Questions
    """All of its questions, those beyond the scored rows too."""

    @classmethod
    def of(cls, scored: ReadFile) -> Leaks:
        """Return the questions of a file."""
        return cls(scored.file.path.name, Questions.of(example.question for example in scored.examples))

    def left_out(self, examples: Sequence[Example]) -> tuple[tuple[Example, ...], dict[str, int]]:
        """Return the examples without those that leak, and how many are left out, by reason."""
        kept: list[Example] = []
        dropped: Counter[str] = Counter()
        for example in examples:
            if self.questions.has(example.question):
                dropped[f"whose question is in {self.name}"] += 1
            elif self.questions.has_reworded(example.question):
                dropped[f"whose question is in {self.name} with other options"] += 1
            else:
                kept.append(example)
        return tuple(kept), dict(dropped)


def _stem(question: str) -> str:
    """Return a question without its options, in the form that is compared; all of it where nothing is left."""
    try:
        options = read_options(question)
    except QuestionError:
        options = {}
    if not options:
        return _plain(question)
    lines = question.rstrip().split("\n")
    first = max(0, len(lines) - _MOST_LINES)
    begin = next((at for at in range(len(lines) - 1, first - 1, -1) if _options(lines[at:]) == options), 0)
    return _plain("\n".join(lines[:begin])) or _plain(question)


def _options(lines: list[str]) -> dict[str, str]:
    try:
        return read_options("\n".join(lines))
    except QuestionError:  # such as those from B on
        return {}


def _plain(question: str) -> str:
    text = " ".join(unicodedata.normalize("NFKC", question).casefold().split())
    return text.rstrip(" .?!:;…") or text
