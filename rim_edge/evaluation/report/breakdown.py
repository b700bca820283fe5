"""One evaluation taken apart: by subject, by letter, by how sure it was. All of it with the most memory blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from rim_edge.evaluation.asking import Asked, Row
from rim_edge.evaluation.calibrating import Labelled, Reliability, reliability
from rim_edge.evaluation.reading import Given
from rim_edge.evaluation.scores import Score


@dataclass(frozen=True)
class Confusion:
    """How often which letter was answered where which one is right."""

    letters: str
    """Those that were offered somewhere, up to the last one that is right or answered."""
    counts: Mapping[tuple[str, str], int]
    """By the right letter and the answered one."""

    def right(self, letter: str) -> int:
        """Return how often a letter is right."""
        return sum(self.counts.get((letter, given), 0) for given in self.letters)

    def given(self, letter: str) -> int:
        """Return how often a letter was answered."""
        return sum(self.counts.get((right, letter), 0) for right in self.letters)

    def to_json(self) -> dict[str, dict[str, int]]:
        """Return it as `--json` prints it: by the right letter, then by the answered one."""
        return {
            right: {given: self.counts.get((right, given), 0) for given in self.letters} for right in self.letters
        }


@dataclass(frozen=True)
class Breakdown:
    """The parts of an evaluation."""

    chance: float | None
    """How often a blind guess among the offered letters is right; None where no question has letters."""
    subjects: Mapping[str, Score]
    """By subject, the best first; empty where the rows name none. Rows without one are under an empty name."""
    confusion: Confusion | None
    """None where no letter was read."""
    reliability: Reliability | None
    """How well probabilities say how often letters are right; None where there are none."""
    confidence: float | None
    """The mean probability of the answered letters."""
    surest_wrong: tuple[tuple[Row, Given], ...]
    """Wrong letters, the surest first."""

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        sure = self.reliability
        return {
            "chance": self.chance,
            "subjects": [{"subject": name, **score.to_json()} for name, score in self.subjects.items()],
            "confusion": None if self.confusion is None else self.confusion.to_json(),
            "calibration": None
            if sure is None
            else {
                "error": sure.error,
                "low": sure.interval[0],
                "high": sure.interval[1],
                "nll": sure.nll,
                "confidence": self.confidence,
                "bins": [asdict(one) for one in sure.bins],
            },
        }


def break_down(asked: Asked, seed: int = 0) -> Breakdown:
    """Take apart what was read; one row at least must have been asked. `seed` is of the interval's resampling."""
    found = [(asked.rows[place], asked.readings[place].last) for place in sorted(asked.readings)]
    lettered = [(row, given) for row, given in found if row.item.letters]
    read = [(row, given) for row, given in lettered if given.probabilities]
    labelled = [Labelled(dict(given.probabilities or {}), row.item.answer) for row, given in read]
    wrong = [(row, given) for row, given in read if given.answer != row.item.answer]
    return Breakdown(
        chance=fmean(1 / len(row.item.letters) for row, _ in lettered) if lettered else None,
        subjects=_by_subject(found),
        confusion=_confusion(read) if read else None,
        reliability=reliability(labelled, seed) if labelled else None,
        confidence=fmean(map(sureness, [given for _, given in read])) if read else None,
        surest_wrong=tuple(sorted(wrong, key=lambda one: -sureness(one[1]))),
    )


def sureness(given: Given) -> float:
    """Return the probability of an answered letter; 0 where it has none."""
    return (given.probabilities or {}).get(given.answer, 0.0)


def _by_subject(found: list[tuple[Row, Given]]) -> dict[str, Score]:
    n = Counter(row.subject for row, _ in found)
    right = Counter(row.subject for row, given in found if given.answer == row.item.answer)
    if set(n) == {""}:
        return {}
    scores = {name: Score(right[name], count) for name, count in n.items()}
    return dict(sorted(scores.items(), key=lambda one: (-one[1].accuracy, one[0])))


def _confusion(read: list[tuple[Row, Given]]) -> Confusion:
    counts = Counter((row.item.answer, given.answer) for row, given in read)
    last = max(letter for pair in counts for letter in pair)
    offered = {letter for row, _ in read for letter in row.item.letters if letter < last}
    return Confusion("".join(sorted({*offered, last})), counts)
