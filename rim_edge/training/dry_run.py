"""What a run would take, and nothing written: its rows and lengths, and three measured steps of each stage."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from rim_runtime.machine.peak_memory import peak_memory

from rim_edge.recipe.curriculum import Stage
from rim_edge.training.callbacks import Listener, RunStart, Step
from rim_edge.training.job import Job
from rim_edge.training.loop import train
from rim_edge.training.out_of_memory import AROUND_THE_STEPS, report_out_of_memory
from rim_edge.training.prepare import check_inputs, prepare, read_inputs
from rim_edge.training.processes import Processes

STEPS = 3
"""Steps of each stage that are taken; the first is left out of the time, because it prepares for the others."""


@dataclass(frozen=True)
class MeasuredStage:
    """A stage, and what its steps took here."""

    stage: Stage
    """The stage, its length in steps."""
    step_seconds: float
    """Mean time of a step."""
    tokens_per_second: float
    """Tokens without padding."""
    micro_batch: int
    """Examples of one pass."""

    @property
    def seconds(self) -> float:
        """Time of the whole stage at this pace, without scoring and saving."""
        return self.step_seconds * self.stage.steps


@dataclass(frozen=True)
class DryRun:
    """What a run would take."""

    start: RunStart
    """Rows, lengths and notes, as the run would begin."""
    stages: tuple[MeasuredStage, ...]
    """What its stages would take."""
    peak_bytes: int | None
    """The most memory held so far: a GPU's where it trains on one, else this process's; None if unknown."""
    device: str
    """As torch calls it."""

    @property
    def seconds(self) -> float:
        """Time of all stages."""
        return sum(stage.seconds for stage in self.stages)


class _Steps(Listener):
    """Keeps the steps that were taken."""

    def __init__(self) -> None:
        self.taken: list[Step] = []

    def step(self, step: Step) -> None:
        """Keep a step."""
        self.taken.append(step)


def dry_run(job: Job, listener: Listener) -> DryRun:
    """Prepare a run and take three steps of each stage, in memory alone. Raises what the run itself would."""
    check_inputs(job)
    processes = Processes(job.recipe.resources.sharding, job.device)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    with report_out_of_memory(AROUND_THE_STEPS):
        found = _measure(job, processes, listener)
    processes.end()
    return found


def _measure(job: Job, processes: Processes, listener: Listener) -> DryRun:
    prepared = prepare(job, read_inputs(job, listener.doing), processes, listener.doing)
    curriculum = prepared.setup.curriculum
    start = RunStart(prepared.reports, prepared.held_out, curriculum, prepared.notes)
    listener.begin(start)
    listener.doing(f"taking {STEPS} steps of each stage")
    short = tuple(replace(stage, steps=STEPS, extension=None) for stage in curriculum.stages)
    setup = replace(prepared.setup, curriculum=replace(curriculum, stages=short))
    steps = _Steps()
    train(setup, steps)
    measured = tuple(_measured(stage, steps.taken) for stage in curriculum.stages)
    return DryRun(start, measured, _peak(processes.device), str(processes.device))


def _measured(stage: Stage, taken: list[Step]) -> MeasuredStage:
    first, *others = (step for step in taken if step.stage == stage.name)
    last = others[-1]
    pace = (last.seconds - first.seconds) / len(others)
    tokens = sum(step.tokens for step in others) / len(others)
    return MeasuredStage(stage, pace, tokens / pace, last.micro_batch)


def _peak(device: torch.device) -> int | None:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else peak_memory()
