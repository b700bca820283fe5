"""Which of a certificate's questions serve what, drawn by a hash of each: the order of a file plays no part."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rim_export.questions import LabelledQuestion

GOLDEN_CANDIDATES = 32
"""Golden questions are chosen from this many, or from a third where there are fewer than 96."""
CHOICE_QUESTIONS = 256
"""Widening is chosen on at most this many more, or on a quarter of the others."""

_PUNCTUATION = re.compile(r"""[\s:;?"“”…]|(?<!\d)[.,]|[.,](?!\d)""")
"""What no question differs by alone; 1.5 is not 15."""

Questions = tuple[LabelledQuestion, ...]


@dataclass(frozen=True)
class QuestionParts:
    """Questions by what they serve; none serves two purposes."""

    golden: Questions
    """Candidates for golden questions."""
    choice: Questions
    """Those on which, together with the candidates, `--keep-going` chooses what is kept wide; else empty."""
    certified: Questions
    """Those that each variant is certified on, once."""

    @property
    def pool(self) -> Questions:
        """All that the certificate leaves out."""
        return self.golden + self.choice

    @property
    def everything(self) -> Questions:
        """All of them."""
        return self.pool + self.certified


def divide(questions: Questions, golden: Questions | None, *, keep_going: bool) -> QuestionParts:
    """Divide a certificate's questions; `golden` are candidates of another file, None draws them from these."""
    rest = questions
    if golden is None:
        golden, rest = draw(questions, min(GOLDEN_CANDIDATES, len(questions) // 3))
    else:
        golden, _ = draw(golden, min(GOLDEN_CANDIDATES, len(golden)))
    choice, certified = draw(rest, min(CHOICE_QUESTIONS, len(rest) // 4)) if keep_going else ((), rest)
    return QuestionParts(golden, choice, certified)


def draw(questions: Sequence[LabelledQuestion], count: int) -> tuple[Questions, Questions]:
    """Return `count` questions and the others, each in its order; questions of one essence stay together.

    So the first may be a few fewer: a question and its double never end up on two sides.
    """
    groups: dict[str, list[LabelledQuestion]] = {}
    for question in questions:
        groups.setdefault(_drawn_by(question), []).append(question)
    drawn: set[str] = set()
    left = count
    for key in sorted(groups):
        if len(groups[key]) <= left:
            drawn.add(key)
            left -= len(groups[key])
    first = tuple(question for question in questions if _drawn_by(question) in drawn)
    return first, tuple(question for question in questions if _drawn_by(question) not in drawn)


def essence(text: str) -> str:
    """Return a text's letters and digits in lower case; questions with equal ones are too close to be apart."""
    return re.sub(r"\W+", "", text.casefold())


def apart(rows: Iterable[LabelledQuestion], others: Iterable[LabelledQuestion]) -> Questions:
    """Return the questions that are not among the others."""
    taken = {essence(question.text) for question in others}
    return tuple(row for row in rows if essence(row.text) not in taken)


def once(rows: Iterable[LabelledQuestion]) -> Questions:
    """Return each question once; white space, capitals and punctuation make no other question, signs do."""
    first: dict[str, LabelledQuestion] = {}
    for row in rows:
        first.setdefault(_PUNCTUATION.sub("", row.text.casefold()), row)
    return tuple(first.values())


def _drawn_by(question: LabelledQuestion) -> str:
    return hashlib.sha256(essence(question.text).encode()).hexdigest()
