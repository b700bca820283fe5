"""Accuracies with their uncertainty. Needs no torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rim_edge.evaluation.items import Item

CONFIDENCE = 0.95
_Z = 1.959963984540054
"""The normal distribution's quantile at 97.5 %."""


@dataclass(frozen=True)
class Score:
    """How many of some questions were answered right."""

    right: int
    """Right answers."""
    n: int
    """Questions."""

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of that share."""
        share, weight = self.accuracy, _Z * _Z / self.n
        middle = share + weight / 2
        spread = _Z * math.sqrt(share * (1 - share) / self.n + weight / (4 * self.n))
        low = (middle - spread) / (1 + weight) if self.right else 0.0  # exactly, where it is so: sums round
        return low, (middle + spread) / (1 + weight) if self.right < self.n else 1.0

    def to_json(self) -> dict[str, object]:
        """Return it as it stands in a report."""
        low, high = self.interval
        return {"right": self.right, "n": self.n, "accuracy": self.accuracy, "low": low, "high": high}


@dataclass(frozen=True)
class Report:
    """What an evaluation found; every score but `shuffled` and `exchanged` is over the same questions."""

    by_blocks: dict[int, Score]
    """Scores by the number of memory blocks; 0 is the control."""
    any_block: Score | None
    """An oracle, thus an upper bound: right with at least one of the numbers of blocks above 0."""
    majority: Score
    """Always answering with the most frequent right answer: the baseline to beat."""
    shuffled: Score | None = None
    """With all blocks, but computed for another question; of the questions with letters, where there are some."""
    exchanged: Mapping[int, Score] | None = None
    """With all blocks, by the one of them (from 1) that was computed for another question; of the same ones."""
    chain: Score | None = None
    """With written steps instead of blocks, where that was asked for."""
    letters: Report | None = None
    """Of the questions that are answered with a letter alone, where there are open ones too."""
    open: Report | None = None
    """Of the open questions alone, where there are both."""

    def to_json(self) -> dict[str, object]:
        """Return it as `--json` prints it."""
        parts = {"letters": self.letters, "open": self.open}
        return self._scores() | {name: None if part is None else part._scores() for name, part in parts.items()}

    def _scores(self) -> dict[str, object]:
        others = {"any_block_oracle": self.any_block, "shuffled_blocks": self.shuffled, "chain": self.chain}
        return {
            "n": self.majority.n,
            "by_blocks": _numbered(self.by_blocks),
            "majority": self.majority.to_json(),
            **{name: None if score is None else score.to_json() for name, score in others.items()},
            "exchanged_block": None if self.exchanged is None else _numbered(self.exchanged),
        }


def _numbered(scores: Mapping[int, Score]) -> dict[str, object]:
    return {str(number): score.to_json() for number, score in scores.items()}


@dataclass(frozen=True)
class StageScores:
    """How a model answered after a stage of its training."""

    stage: str
    """The stage's name."""
    by_blocks: tuple[Score, ...]
    """With 0, 1, … memory blocks; with 0 alone where no blocks were trained."""

    def to_json(self) -> dict[str, object]:
        """Return it as it stands in training.json."""
        return {"stage": self.stage, "by_blocks": _numbered(dict(enumerate(self.by_blocks)))}


@dataclass(frozen=True)
class RunScores:
    """How a model answered after the stages of its training; every score is over the same questions."""

    name: str
    """What was scored: the file's name, or what was generated."""
    stages: tuple[StageScores, ...]
    """After each stage that is scored, in order; one at least."""
    majority: Score
    """Always answering with the most frequent right answer: the baseline to beat."""
    letters: RunScores | None = None
    """Of the questions that are answered with a letter alone, where there are open ones too."""
    open: RunScores | None = None
    """Of the open questions alone, where there are both."""

    def to_json(self) -> dict[str, object]:
        """Return it as it stands in training.json."""
        parts = {"letters": self.letters, "open": self.open}
        return self._scores() | {name: None if part is None else part._scores() for name, part in parts.items()}

    def _scores(self) -> dict[str, object]:
        return {
            "name": self.name,
            "n": self.majority.n,
            "majority": self.majority.to_json(),
            "stages": [stage.to_json() for stage in self.stages],
        }


@dataclass(frozen=True)
class Read:
    """What was read as the answers to some items, in their order."""

    by_blocks: dict[int, list[str]]
    """By the number of memory blocks."""
    shuffled: list[str] | None = None
    """With all blocks, of another question; of the items with letters alone."""
    exchanged: Mapping[int, list[str]] | None = None
    """With all blocks, by the one of another question; of the items with letters alone."""
    chain: list[str] | None = None
    """After written steps."""

    def of(self, places: Sequence[int]) -> Read:
        """Return what was read of the items at these places, without `shuffled` and `exchanged`."""
        return Read(
            by_blocks={blocks: [read[place] for place in places] for blocks, read in self.by_blocks.items()},
            chain=None if self.chain is None else [self.chain[place] for place in places],
        )


def report(items: Sequence[Item], read: Read) -> Report:
    """Compare what was read with the right answers; letters and open answers apart, where there are both."""
    kinds = {
        "letters": [place for place, item in enumerate(items) if item.letters],
        "open": [place for place, item in enumerate(items) if not item.letters],
    }
    answers = [item.answer for item in items]
    whole = _report(answers, read.by_blocks, read.chain)
    with_letters = [answers[place] for place in kinds["letters"]]
    shuffled = None if read.shuffled is None else _score(read.shuffled, with_letters)
    exchanged = None
    if read.exchanged is not None:
        exchanged = {block: _score(letters, with_letters) for block, letters in read.exchanged.items()}
    whole = replace(whole, shuffled=shuffled, exchanged=exchanged)
    if not all(kinds.values()):
        return whole
    parts = {kind: read.of(places) for kind, places in kinds.items()}
    lettered, written = (
        _report([answers[place] for place in kinds[kind]], part.by_blocks, part.chain)
        for kind, part in parts.items()
    )
    return replace(whole, letters=replace(lettered, shuffled=shuffled, exchanged=exchanged), open=written)


def _report(answers: list[str], by_blocks: dict[int, list[str]], chain: list[str] | None) -> Report:
    above = [read for blocks, read in by_blocks.items() if blocks]
    hits = [any(read[place] == answer for read in above) for place, answer in enumerate(answers)]
    return Report(
        by_blocks={blocks: _score(read, answers) for blocks, read in by_blocks.items()},
        any_block=Score(sum(hits), len(answers)) if len(above) > 1 else None,
        majority=majority(answers),
        chain=None if chain is None else _score(chain, answers),
    )


def stage_scores(stage: str, right: Sequence[int], n: int) -> StageScores:
    """Return a stage's scores from its counts of right answers, of `n`, with 0, 1, … blocks."""
    return StageScores(stage, tuple(Score(count, n) for count in right))


def majority(answers: Sequence[str]) -> Score:
    """Return how often the most frequent answer is right."""
    return Score(max(Counter(answers).values()), len(answers))


def _score(read: list[str], answers: list[str]) -> Score:
    return Score(sum(found == answer for found, answer in zip(read, answers, strict=True)), len(answers))
