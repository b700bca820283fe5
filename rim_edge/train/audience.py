"""Who is told how a run goes. In a run of several processes only the first one tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rim_edge.train.gathering import FileReport
from rim_edge.train.held_out import HeldOut
from rim_edge.train.loop import Step
from rim_edge.train.scores import StageScores


@dataclass(frozen=True)
class Found:
    """What a run starts with."""

    files: tuple[FileReport, ...]
    """What was read of each file of training data, and what left out."""
    held_out: HeldOut | None
    """What the run is scored on."""


@dataclass(frozen=True)
class Audience:
    """Callables, each for one kind of news."""

    found: Callable[[Found], None] = lambda found: None
    """Before the first step."""
    step: Callable[[Step], None] = lambda step: None
    """Behind every optimizer step."""
    doing: Callable[[str], None] = lambda text: None
    """What takes time besides steps, in a few words."""
    scored: Callable[[StageScores], None] = lambda scores: None
    """Behind every stage that is scored."""
