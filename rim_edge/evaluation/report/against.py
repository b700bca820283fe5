"""Compare two runs, or two numbers of blocks, on the same questions: McNemar's exact test. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from pathlib import Path

from rim_edge.errors import DataError
from rim_edge.evaluation.asking import Asked, Row
from rim_edge.evaluation.reading import Given
from rim_edge.evaluation.report.saved import SavedRow, question_hash, read_rows


@dataclass(frozen=True)
class Changed:
    """A question that two runs, or one run with two numbers of blocks, answer differently."""

    row: Row
    """The question."""
    here: Given
    """The answer of this run."""
    there: Given
    """The answer of the other one."""

    @property
    def gain(self) -> int:
        """1: right here alone; -1: right there alone; 0: wrong in both."""
        return (self.here.answer == self.row.item.answer) - (self.there.answer == self.row.item.answer)


@dataclass(frozen=True)
class Comparison:
    """A run and another one, or two numbers of blocks, question by question."""

    other: str
    """The other run, or number of blocks, in words."""
    n: int
    """Questions."""
    gained: int
    """Questions that this run answers right and the other one does not."""
    lost: int
    """Questions that the other run alone answers right."""
    interval: tuple[float, float] | None
    """95 % of the difference of the accuracies; None where the extra `export`, which computes it, is missing."""
    right_there: int
    """Questions that the other run answers right."""
    changed: tuple[Changed, ...]
    """Questions that are answered differently, in the rows' order."""

    @property
    def difference(self) -> float:
        """The accuracy of this run minus the other's."""
        return (self.gained - self.lost) / self.n

    @property
    def p(self) -> float:
        """McNemar's exact test, two-sided: how often a fair coin is so uneven on the questions that differ."""
        return mcnemar(self.gained, self.lost)

    def to_json(self) -> dict[str, object]:
        """Return it as `--json` prints it."""
        low, high = self.interval or (None, None)
        return {
            "other": self.other,
            "n": self.n,
            "gained": self.gained,
            "lost": self.lost,
            "p": self.p,
            "difference": self.difference,
            "low": low,
            "high": high,
            "changed": len(self.changed),
        }


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided p of McNemar's exact test for the counts of questions that differ (0 and 0: 1)."""
    n, fewer = gained + lost, min(gained, lost)
    tail = Fraction(sum(comb(n, count) for count in range(fewer + 1)), 2**n)
    return float(min(Fraction(1), 2 * tail))


class OtherRun:
    """A saved run to compare with."""

    def __init__(self, file: Path, rows: Sequence[Row]) -> None:
        """Read a file. Raises DataError where it cannot be read, or its questions are not these rows'."""
        self._file = file
        saved = read_rows(file)
        theirs, ours = Counter(map(_key, saved)), Counter(map(_row_key, rows))
        if theirs != ours:
            shared = (theirs & ours).total()
            raise DataError(
                f"{file} holds {theirs.total():,} answers, and {shared:,} of them are to the {ours.total():,} "
                "questions asked here, expected the same questions with the same right answers. Save a run over "
                "the same file, with the same --limit, --shuffle and --seed."
            )
        self._words = saved[0].words
        self._given: dict[tuple[str, str], list[Given]] = {}
        for row in saved:
            self._given.setdefault(_key(row), []).append(row.reading.last)

    def compare(self, rows: Sequence[Row], given: Sequence[Given]) -> Comparison:
        """Return the comparison with the answers given here to the same rows; equal questions in order."""
        left = {key: iter(values) for key, values in self._given.items()}
        theirs = [next(left[_row_key(row)]) for row in rows]
        return _compared(self._words, [Changed(*three) for three in zip(rows, given, theirs, strict=True)])


def compare_blocks(asked: Asked) -> Comparison | None:
    """Return the comparison of the most blocks with the fewest, where rows were asked with both; else None."""
    places = sorted(asked.readings)
    budgets = asked.readings[places[0]].by_blocks
    fewest, most = min(budgets), max(budgets)
    if fewest == most:
        return None
    both = []
    for place in places:
        by_blocks = asked.readings[place].by_blocks
        both.append(Changed(asked.rows[place], by_blocks[most], by_blocks[fewest]))
    return _compared(f"{fewest} block{'' if fewest == 1 else 's'}", both)


def _compared(other: str, both: Sequence[Changed]) -> Comparison:
    gained, lost = sum(one.gain > 0 for one in both), sum(one.gain < 0 for one in both)
    return Comparison(
        other=other,
        n=len(both),
        gained=gained,
        lost=lost,
        interval=_interval(gained, lost, len(both)),
        right_there=sum(one.there.answer == one.row.item.answer for one in both),
        changed=tuple(one for one in both if one.here.answer != one.there.answer),
    )


def _interval(gained: int, lost: int, n: int) -> tuple[float, float] | None:
    try:  # scipy is in the extra `export`, and a bundle is scored without it
        from rim_export.certification.intervals import paired_difference_interval
    except ModuleNotFoundError:
        return None
    return paired_difference_interval(gained, lost, n)


def _key(row: SavedRow) -> tuple[str, str]:
    return row.question_sha256, row.answer


def _row_key(row: Row) -> tuple[str, str]:
    return question_hash(row), row.item.answer
