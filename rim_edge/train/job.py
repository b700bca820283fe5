"""One training run from its inputs to the checkpoint on disk: what `rim-edge train` does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import torch
from rim_export.checkpoint import read_config
from rim_export.contract import derive_contract
from rim_runtime.bundle import sha256_file
from rim_runtime.storage import new_folder, refuse_existing

from rim_edge.demo.puzzles import ROOMS, fresh_puzzles
from rim_edge.train.arms import Arm, for_arm
from rim_edge.train.checkpoint import read_checkpoint
from rim_edge.train.curriculum import Curriculum
from rim_edge.train.data_files import BadRows, DataFile, ReadFile, read_file
from rim_edge.train.encode import ExampleEncoder
from rim_edge.train.errors import CurriculumError, DataError
from rim_edge.train.evaluate import accuracy_by_blocks
from rim_edge.train.gathering import FileReport, Gathered, gather
from rim_edge.train.items import Item
from rim_edge.train.loop import Step, Watch, train
from rim_edge.train.moment import Moment, StageResult
from rim_edge.train.processes import Processes
from rim_edge.train.recipe import Recipe, Trains
from rim_edge.train.run import Run
from rim_edge.train.saved import METRICS, SavedRuns
from rim_edge.train.sources import PuzzleSource
from rim_edge.train.student import Student, make_student, write_student

ACCURACY_SEED = 2_000
"""Seed of the fresh puzzles that measure the trained model."""
ACCURACY_COUNT = 1_000
"""How many of them."""
_METRICS_EVERY = 10


@dataclass(frozen=True)
class Job:
    """What to train, from what, and where to put it."""

    recipe: Recipe
    """Curriculum, blocks, what learns, limits, and the model from scratch if there is one."""
    out: Path
    """The checkpoint folder to write."""
    model: Path | None = None
    """A transformers folder to start from; None starts from scratch."""
    data: tuple[DataFile, ...] = ()
    """Files of rows; none means the recipe's, and without those puzzles, for the demo preset."""
    steps: int | None = None
    """Optimizer steps of all stages together; None keeps the recipe's."""
    arm: Arm = Arm.RIM
    """RiM, or one of its controls."""
    seed: int = 0
    """Of weights, order, puzzles and dropout."""
    threads: int | None = None
    """CPU threads; None leaves torch's choice."""
    bad_rows: BadRows = BadRows.REFUSE
    """What happens to rows that cannot be used."""
    resume: bool = False
    """Whether to go on from the last saved moment, where there is one."""

    @property
    def curriculum(self) -> Curriculum:
        """What is trained: the recipe's, in so many steps, as the arm trains it."""
        whole = self.recipe.curriculum
        return for_arm(whole if self.steps is None else whole.scaled(self.steps), self.arm)

    @property
    def files(self) -> tuple[DataFile, ...]:
        """The files of rows."""
        return self.data or self.recipe.data


@dataclass(frozen=True)
class Outcome:
    """What a finished run gives."""

    checkpoint: Path
    """The folder."""
    stages: tuple[StageResult, ...]
    """How each stage ended."""
    data: tuple[FileReport, ...]
    """What was read of each file, and what left out."""
    resumed_at: int
    """Optimizer steps that an earlier process had done; 0 for a run in one go."""
    accuracy_by_blocks: tuple[float, ...] | None
    """On fresh puzzles, with the saved weights, 0..K blocks; None where rows were trained on."""


Report = Callable[[Step], None]
Tell = Callable[[tuple[FileReport, ...]], None]


def run_job(job: Job, report: Report, tell: Tell = lambda files: None) -> Outcome | None:
    """Train, write the checkpoint, and measure it; None in every process of a run but the first.

    `tell` gets what was read of each file, `report` every step. Bad inputs are refused before anything is trained.
    """
    refuse_existing(job.out)
    files = _read(job)
    saved = SavedRuns.beside(job.out, _identity(job))
    if not job.resume:
        saved.refuse_unfinished()
    processes = Processes()
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    if processes.is_first:
        with new_folder(job.out) as folder:
            prepared = _prepare(job, files, processes)
            tell(prepared.reports)
            outcome = _lead(job, prepared, saved, folder, report)
        saved.remove()
    else:
        prepared, outcome = _prepare(job, files, processes), None
        train(prepared.run, Watch(), _start(job, saved, prepared.student))
    processes.end()
    return outcome


@dataclass(frozen=True)
class _Prepared:
    student: Student
    run: Run
    reports: tuple[FileReport, ...]


def _read(job: Job) -> tuple[ReadFile, ...]:
    """Read the files, and refuse a job without data or model, before a large model is loaded."""
    recipe = job.recipe
    if not job.files and recipe.scratch is None:
        raise DataError(f"The recipe '{recipe.name}' has no data of its own. Pass --data FILE.")
    files = tuple(read_file(file, job.bad_rows) for file in job.files)
    if job.model is None and recipe.scratch is None:
        raise CurriculumError(f"The recipe '{recipe.name}' has no model of its own. Pass --model DIR.")
    return files


def _prepare(job: Job, files: tuple[ReadFile, ...], processes: Processes) -> _Prepared:
    student = make_student(job.recipe, job.model, job.seed)
    encoder = ExampleEncoder(student.tokenizer, derive_contract(student.tokenizer, student.rim))
    gathered = Gathered(PuzzleSource(job.seed), ())
    if files:
        positions = student.model.config.max_position_embeddings
        gathered = gather(files, encoder, replace(job.recipe, curriculum=job.curriculum), positions, job.seed)
    run = Run(
        model=student.model,
        encoder=encoder,
        source=gathered.source,
        curriculum=job.curriculum,
        padding=student.padding,
        resources=job.recipe.resources,
        seed=job.seed,
        processes=processes,
    )
    return _Prepared(student, run, gathered.reports)


def _lead(job: Job, prepared: _Prepared, saved: SavedRuns, folder: Path, report: Report) -> Outcome:
    """Train as the process that writes."""
    student, run, metrics = prepared.student, prepared.run, folder / METRICS
    start = _start(job, saved, student)
    latest = saved.latest()
    if latest:
        shutil.copyfile(latest / METRICS, metrics)
    with metrics.open("a", encoding="utf-8") as written:
        stages = train(
            run,
            Watch(
                report=lambda step: _record(step, written, report),
                save=lambda moment: saved.save(student.model, moment, metrics),
            ),
            start,
        )
    write_student(folder, student)
    accuracy = None if job.files else _puzzle_accuracy(folder, run.encoder)
    outcome = Outcome(job.out, stages, prepared.reports, start.done, accuracy)
    _write_summary(folder, job, run, outcome)
    return outcome


def _start(job: Job, saved: SavedRuns, student: Student) -> Moment:
    latest = saved.latest() if job.resume else None
    return Moment() if latest is None else saved.restore(latest, student.model)


def _identity(job: Job) -> dict[str, Any]:
    """Return what a run must have in common with the one it resumes; resources may differ."""
    recipe = job.recipe
    return {
        "recipe": recipe.name,
        "blocks": recipe.rim.to_config(),
        "trains": [recipe.trains, asdict(recipe.lora)],
        "limits": asdict(recipe.limits),
        "curriculum": asdict(job.curriculum),
        "arm": job.arm,
        "seed": job.seed,
        "model": None if job.model is None else dict(read_config(job.model)),
        "data": [[sha256_file(file.path), file.weight, file.steps] for file in job.files],
        "bad rows": job.bad_rows,
    }


def _record(step: Step, metrics: TextIO, report: Report) -> None:
    if step.step % _METRICS_EVERY == 0 or step.step == 1:
        metrics.write(json.dumps(asdict(step)) + "\n")
        metrics.flush()
    report(step)


def _puzzle_accuracy(folder: Path, encoder: ExampleEncoder) -> tuple[float, ...]:
    """Measure what was saved, not what was trained: the weights are rounded by now."""
    model, _ = read_checkpoint(folder)
    puzzles = fresh_puzzles(ACCURACY_COUNT, ACCURACY_SEED)
    items = [Item(puzzle.question, puzzle.answer, ROOMS) for puzzle in puzzles]
    return tuple(accuracy_by_blocks(model.eval(), encoder, items))


def _write_summary(folder: Path, job: Job, run: Run, outcome: Outcome) -> None:
    """Write training.json: the resolved run and how it ended."""
    recipe = job.recipe
    summary = {
        "recipe": recipe.name,
        "arm": job.arm,
        "model": None if job.model is None else job.model.name,
        "data": [asdict(report) for report in outcome.data],
        "seed": job.seed,
        "threads": torch.get_num_threads(),
        "processes": run.processes.count,
        "trains": recipe.trains,
        "lora": asdict(recipe.lora) if recipe.trains is Trains.LORA else None,
        "limits": asdict(recipe.limits),
        "resources": asdict(recipe.resources),
        "curriculum": asdict(run.curriculum),
        "prompt": asdict(run.encoder.contract),
        "stages": [asdict(replace(stage, seconds=round(stage.seconds, 1))) for stage in outcome.stages],
        "resumed_at": outcome.resumed_at,
        "accuracy_by_blocks": outcome.accuracy_by_blocks,
    }
    text = json.dumps(summary, indent=2) + "\n"
    (folder / "training.json").write_text(text, encoding="utf-8")
