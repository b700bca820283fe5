"""Accuracies with their uncertainty. Needs no torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

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
        return max(0.0, (middle - spread) / (1 + weight)), min(1.0, (middle + spread) / (1 + weight))

    def to_json(self) -> dict[str, object]:
        """Return it as it stands in a report."""
        low, high = self.interval
        return {"right": self.right, "n": self.n, "accuracy": self.accuracy, "low": low, "high": high}


@dataclass(frozen=True)
class Report:
    """What an evaluation found; every score is over the same questions."""

    by_blocks: dict[int, Score]
    """Scores by the number of memory blocks; 0 is the control."""
    any_block: Score | None
    """An oracle, thus an upper bound: right with at least one of the numbers of blocks above 0."""
    majority: Score
    """Always answering with the most frequent right answer: the baseline to beat."""
    shuffled: Score | None = None
    """With all blocks, but computed for another question. None where that cannot be done."""
    chain: Score | None = None
    """With written steps instead of blocks, where that was asked for."""

    def to_json(self) -> dict[str, object]:
        """Return it as `--json` prints it."""
        others = {"any_block_oracle": self.any_block, "shuffled_blocks": self.shuffled, "chain": self.chain}
        return {
            "n": self.majority.n,
            "by_blocks": {str(blocks): score.to_json() for blocks, score in self.by_blocks.items()},
            "majority": self.majority.to_json(),
            **{name: None if score is None else score.to_json() for name, score in others.items()},
        }


@dataclass(frozen=True)
class StageScores:
    """How a model answered after a stage of its training."""

    stage: str
    """The stage's name."""
    by_blocks: tuple[Score, ...]
    """With 0, 1, … memory blocks; with 0 alone where no blocks were trained."""

    def to_json(self) -> dict[str, object]:
        """Return it as it stands in training.json."""
        scores = {str(blocks): score.to_json() for blocks, score in enumerate(self.by_blocks)}
        return {"stage": self.stage, "by_blocks": scores}


@dataclass(frozen=True)
class RunScores:
    """How a model answered after the stages of its training; every score is over the same questions."""

    name: str
    """What was scored: the file's name, or what was generated."""
    stages: tuple[StageScores, ...]
    """After each stage that is scored, in order; one at least."""
    majority: Score
    """Always answering with the most frequent right answer: the baseline to beat."""

    def to_json(self) -> dict[str, object]:
        """Return it as it stands in training.json."""
        return {
            "name": self.name,
            "n": self.majority.n,
            "majority": self.majority.to_json(),
            "stages": [stage.to_json() for stage in self.stages],
        }


def report(
    answers: list[str],
    by_blocks: dict[int, list[str]],
    shuffled: list[str] | None = None,
    chain: list[str] | None = None,
) -> Report:
    """Compare the answers read with each number of blocks with the right answers."""
    above = [read for blocks, read in by_blocks.items() if blocks]
    hits = [any(read[place] == answer for read in above) for place, answer in enumerate(answers)]
    return Report(
        by_blocks={blocks: _score(read, answers) for blocks, read in by_blocks.items()},
        any_block=Score(sum(hits), len(answers)) if len(above) > 1 else None,
        majority=majority(answers),
        shuffled=None if shuffled is None else _score(shuffled, answers),
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
