"""Where a run stands, from the steps that were told: what its view shows, without how."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rim_edge.recipe.curriculum import Curriculum, Stage
    from rim_edge.training.loop import Step

_RECENT = 20


@dataclass(frozen=True)
class StageProgress:
    """Where a stage stands."""

    stage: Stage
    """The stage."""
    steps: int
    """Steps done."""
    total: int
    """Steps it takes, as far as is known: an extension counts once it is entered."""
    is_current: bool
    """Whether it is trained now."""
    loss: float | None
    """Mean of its last steps, 20 at most; None where this process trained none of it."""
    seconds: float | None
    """How long this process has trained it."""


class RunProgress:
    """What was told of a run so far."""

    def __init__(self, curriculum: Curriculum) -> None:
        self._stages = curriculum.stages
        self._names = [stage.name for stage in curriculum.stages]
        self._first: dict[str, Step] = {}
        self._last: dict[str, Step] = {}
        self._nll: deque[tuple[float, ...]] = deque(maxlen=_RECENT)
        self.latest: Step | None = None
        """The last step that was told."""

    def add(self, step: Step) -> None:
        """Take in a step."""
        if step.stage not in self._first:
            self._first[step.stage] = step
            self._nll.clear()
        self._nll.append(step.nll)
        self._last[step.stage] = self.latest = step

    @property
    def stage(self) -> Stage | None:
        """The stage of the last step."""
        return None if self.latest is None else self._stages[self._names.index(self.latest.stage)]

    @property
    def stages(self) -> list[StageProgress]:
        """Where every stage stands."""
        current = -1 if self.latest is None else self._names.index(self.latest.stage)
        return [self._of(stage, place, current) for place, stage in enumerate(self._stages)]

    @property
    def done(self) -> int:
        """Steps done in all stages, those of an interrupted run too."""
        return 0 if self.latest is None else self.latest.done

    @property
    def total(self) -> int:
        """Steps of all stages, as far as is known."""
        return self.done + sum(stage.total - stage.steps for stage in self.stages)

    @property
    def seconds_left(self) -> float:
        """Time for the rest, at the pace of the last steps; there must be one."""
        assert self.latest is not None
        return (self.total - self.done) * self.latest.step_seconds

    @property
    def nll(self) -> list[float]:
        """-log p by the readouts' place, mean over the stage's last steps, 20 at most."""
        places = range(max(map(len, self._nll), default=0))
        known = [[nll[place] for nll in self._nll if place < len(nll)] for place in places]
        return [sum(values) / len(values) for values in known]

    def _of(self, stage: Stage, place: int, current: int) -> StageProgress:
        first, last = self._first.get(stage.name), self._last.get(stage.name)
        if first is None or last is None:  # not begun, or ended before this process began
            steps = stage.steps if place < current else 0
            return StageProgress(stage, steps, stage.steps, False, None, None)
        total = max(stage.steps, last.step) if place == current else last.step
        seconds = last.seconds - first.seconds + first.step_seconds
        return StageProgress(stage, last.step, total, place == current, last.recent_loss, seconds)
