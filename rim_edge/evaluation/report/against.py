"""Compare two runs on the same questions: McNemar's exact test. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from pathlib import Path

from rim_edge.errors import DataError
from rim_edge.evaluation.asking import Row
from rim_edge.evaluation.report.saved import SavedRow, question_hash, read_rows


@dataclass(frozen=True)
class Comparison:
    """A run and another one, question by question."""

    other: str
    """The other run in words."""
    n: int
    """Questions."""
    gained: int
    """Questions that this run answers right and the other one does not."""
    lost: int
    """Questions that the other run alone answers right."""
    interval: tuple[float, float] | None
    """95 % of the difference of the accuracies; None where the extra `export`, which computes it, is missing."""

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
                "the same file, with the same --limit."
            )
        self._words = saved[0].words
        self._right: dict[tuple[str, str], list[bool]] = {}
        for row in saved:
            self._right.setdefault(_key(row), []).append(row.is_right)

    def compare(self, rows: Sequence[Row], right: Sequence[bool]) -> Comparison:
        """Return the comparison with what is right here of the same rows; equal questions in the files' order."""
        left = {key: iter(values) for key, values in self._right.items()}
        theirs = [next(left[_row_key(row)]) for row in rows]
        gained = sum(ours and not other for ours, other in zip(right, theirs, strict=True))
        lost = sum(other and not ours for ours, other in zip(right, theirs, strict=True))
        return Comparison(self._words, len(rows), gained, lost, _interval(gained, lost, len(rows)))


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
