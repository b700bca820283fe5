"""From a job to what is trained: files are read, the model is loaded, rows are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import derive_contract, derive_latent_contract

from rim_edge.data.files import ReadFile, read_file
from rim_edge.data.puzzle_source import PuzzleSource
from rim_edge.errors import CurriculumError, DataError
from rim_edge.evaluation.held_out import HeldOut, held_out_puzzles, hold_out
from rim_edge.methods.encoder import TextEncoder
from rim_edge.methods.method import Method
from rim_edge.methods.qthink.head import add_head
from rim_edge.methods.qthink.method import QThink
from rim_edge.methods.qthink.teachers import NO_TEACHERS, read_teachers
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.methods.rim.method import Rim
from rim_edge.model.trainable import TrainableModel, load_trainable
from rim_edge.recipe.arms import for_arm
from rim_edge.recipe.changes import Changes
from rim_edge.recipe.curriculum import Curriculum
from rim_edge.recipe.inputs import DataFile, LeakedRows
from rim_edge.recipe.recipe import Keep, MicroBatch, Scoring
from rim_edge.training.gather import FileReport, Gathered, gather
from rim_edge.training.job import Job
from rim_edge.training.memory import Shape, fitting_micro_batch, memory, memory_notes
from rim_edge.training.processes import Processes
from rim_edge.training.stage_scores import budgets
from rim_edge.training.step import TrainingSetup

Doing = Callable[[str], None]
"""Hears what takes time."""


@dataclass(frozen=True)
class Inputs:
    """What was read."""

    files: tuple[ReadFile, ...]
    """Training data."""
    scored: ReadFile | None
    """All rows of the file that is scored."""
    base: Checkpoint | None
    """The model to start from."""


@dataclass(frozen=True)
class Prepared:
    """What is trained and scored."""

    trainable: TrainableModel
    """The model."""
    setup: TrainingSetup
    """The run."""
    reports: tuple[FileReport, ...]
    """What was read of each file, and what was left out."""
    held_out: HeldOut | None
    """What is scored."""
    notes: tuple[str, ...]
    """What is said before training: the memory it takes."""


def check_inputs(job: Job) -> None:
    """Refuse a job without data or model, and files that are not there, before anything is read."""
    recipe = job.recipe
    if not job.files and recipe.scratch is None:
        raise DataError(
            f"{_named(job)} has no data of its own. Pass --data FILE, or write [[data]] into a recipe."
        )
    if not job.data:
        for place, file in enumerate(recipe.data):
            _refuse_missing(recipe.file, f"data[{place}].path", file.path)
    if job.eval is None and recipe.eval is not None:
        _refuse_missing(recipe.file, "eval.path", recipe.eval.path)
    for path in [file.path for file in job.files] + ([job.eval_file.path] if job.eval_file else []):
        _refuse_pipe(path)
    if job.model is None and recipe.scratch is None:
        raise CurriculumError(f"{_named(job)} has no model of its own. Pass --model DIR.")
    if recipe.curriculum.is_latent and job.latent.has_teacher and job.rollouts is None:
        raise CurriculumError(
            f"{_named(job)} learns latent steps from written rollouts, and none are given. Write them with "
            "'rim-edge rollouts' and pass --rollouts DIR, or train without a teacher ([latent] gamma = 0)."
        )
    if job.rollouts is not None and not recipe.curriculum.is_latent:
        raise CurriculumError(
            f"{_named(job)} has no stage that learns from rollouts, and --rollouts is {job.rollouts}. "
            "Leave it out."
        )
    if job.leaked_rows is LeakedRows.DROP and job.eval_file is None:
        raise CurriculumError(
            "Got --drop-leaked and nothing that is scored, expected a file whose questions are left out of "
            "training. Pass --eval FILE."
        )


def _refuse_pipe(path: Path) -> None:
    if path.is_fifo():
        raise DataError(
            f"{path} is a pipe, which can be read once, expected a file: it is read again to tell what a run was "
            "trained on. Write the rows into a file first."
        )


def _named(job: Job) -> str:
    return str(job.recipe.file) if job.recipe.file else f"The recipe '{job.recipe.name}'"


def _refuse_missing(recipe: Path | None, key: str, path: Path) -> None:
    if recipe is not None and not path.exists():
        raise DataError(
            f"{recipe}: {key} names {path}, and there is no such file; paths count from the recipe's folder. "
            "Mend the path, or name files with --data and --eval."
        )


def read_inputs(job: Job, doing: Doing) -> Inputs:
    """Read the files, and refuse what could not be exported, before a large model is loaded."""
    base = None if job.model is None else Checkpoint.open(job.model)
    files = []
    for number, file in enumerate(job.files, start=1):
        doing(f"reading {file.path.name} (file {number} of {len(job.files)})")
        files.append(read_file(file, job.bad_rows))
    if job.eval_file is None:
        return Inputs(tuple(files), None, base)
    doing(f"reading {job.eval_file.path.name}, which is scored")
    return Inputs(tuple(files), read_file(DataFile(job.eval_file.path), job.bad_rows), base)


def prepare(job: Job, inputs: Inputs, processes: Processes, doing: Doing) -> Prepared:
    """Load the model, and leave out the rows that do not fit it."""
    doing(f"loading the model {job.model.name}" if job.model else "making the model")
    trainable = load_trainable(job.recipe, job.model, job.seed)
    positions = inputs.base.positions if inputs.base else trainable.model.config.max_position_embeddings
    method = _method(job, trainable, positions)
    gathered = Gathered(PuzzleSource(job.seed), ())
    if inputs.files:
        drop = job.leaked_rows is LeakedRows.DROP
        gathered = gather(
            inputs.files,
            method,
            replace(job.recipe, curriculum=for_arm(job.recipe.curriculum, job.arm)),
            positions,
            job.seed,
            scored=inputs.scored if drop else None,
            doing=doing,
        )
    curriculum = job.curriculum(gathered.rows)
    fitting = _fitting(inputs.base, job, curriculum, processes, gathered.longest)
    setup = TrainingSetup(
        model=trainable.model,
        method=method,
        source=gathered.source,
        curriculum=curriculum,
        resources=job.recipe.resources,
        seed=job.seed,
        processes=processes,
        scoring=job.recipe.scoring,
        fitting=fitting,
    )
    held_out = None
    if not processes.is_sharded and not curriculum.is_latent:
        held_out = _held_out(job, inputs, method.encoder, positions)
    if job.recipe.scoring != Scoring():
        _require_scores(job, curriculum, held_out)
    notes = (*_taught(method, inputs), *_memory(inputs.base, job, setup, gathered.longest))
    return Prepared(trainable, setup, gathered.reports, held_out, notes)


def _require_scores(job: Job, curriculum: Curriculum, held_out: HeldOut | None) -> None:
    """Raise CurriculumError where the recipe says how the run is scored, and it is not."""
    if held_out is None:
        raise CurriculumError(
            f"{_named(job)} says how it is scored ([scoring]), and nothing is. Pass --eval FILE, rows that are "
            "not trained on; latent steps and sharded layers are scored by rim-edge eval alone."
        )
    last = curriculum.stages[-1]
    if job.recipe.scoring.keep is Keep.BEST and not budgets(last, 1):
        raise CurriculumError(
            f'keep is "best" in [scoring], and {last.name} trains {last.objective}, whose answers are not scored '
            'while it is trained. Take keep = "last".'
        )


def _method(job: Job, trainable: TrainableModel, positions: int) -> Method[Any]:
    """Return the recipe's method, with what the model needs for it, in place."""
    if trainable.rim is not None:
        contract = derive_contract(trainable.tokenizer, trainable.rim)
        if contract.fixed_tokens >= positions:
            raise CurriculumError(
                f"The prompt takes {contract.fixed_tokens:,} tokens with its {contract.blocks:,} blocks, and the "
                f"model has {positions:,} positions: no question has room. Take fewer blocks, or shorter ones "
                "([rim])."
            )
        return Rim(ExampleEncoder(trainable.tokenizer, contract), trainable.padding)
    latent, encoder = job.latent, TextEncoder(trainable.tokenizer, derive_latent_contract(trainable.tokenizer))
    width = int(trainable.model.get_input_embeddings().weight.shape[1])
    if latent.steps:
        add_head(trainable.model, job.model)
    teachers = NO_TEACHERS
    if latent.has_teacher and job.rollouts is not None:
        teachers = read_teachers(job.rollouts, latent, width)
    return QThink(encoder, latent, width, trainable.padding, teachers)


def _taught(method: Method[Any], inputs: Inputs) -> tuple[str, ...]:
    """Return what is said of rows without a teacher."""
    if not isinstance(method, QThink) or not method.latent.has_teacher:
        return ()
    examples = [example for file in inputs.files for example in file.examples]
    taught = sum(method.teachers.of(example.question) is not None for example in examples)
    if taught == len(examples):
        return ()
    untaught, rows = len(examples) - taught, len(examples)
    return (f"{untaught:,} of {rows:,} rows have no teacher: of those, the text alone is learned",)


def _held_out(job: Job, inputs: Inputs, encoder: TextEncoder, positions: int) -> HeldOut | None:
    """Return what is scored: the file's rows; without one, puzzles where puzzles are trained."""
    if inputs.scored is None or job.eval_file is None:
        return None if inputs.files else held_out_puzzles()
    first = replace(inputs.scored, examples=inputs.scored.examples[: job.eval_file.rows])
    trained_on = () if job.leaked_rows is LeakedRows.DROP else inputs.files
    return hold_out(first, encoder, trained_on, positions)


def _fitting(
    base: Checkpoint | None, job: Job, curriculum: Curriculum, processes: Processes, longest: int
) -> int | None:
    """Return how many examples of a pass fit the memory, where the recipe leaves it open; None for a toy.

    Raises CurriculumError for several processes: one that runs out of memory would leave the others waiting.
    """
    if job.recipe.resources.micro_batch is not MicroBatch.AUTO:
        return None
    if processes.count > 1:
        raise CurriculumError(
            f'micro_batch is "auto", and there are {processes.count} processes, expected a number: one that runs '
            "out of memory would leave the others waiting. Find it with --dry-run in one process, then pass "
            "--micro-batch N."
        )
    if base is None:
        return None
    recipe = replace(job.recipe, curriculum=curriculum)
    return fitting_micro_batch(Shape.of(base.config), recipe, longest or None, processes.device)


def _memory(base: Checkpoint | None, job: Job, setup: TrainingSetup, longest: int) -> tuple[str, ...]:
    """Return what is said of memory; nothing of a toy from scratch."""
    if base is None:
        return ()
    recipe = Changes(micro_batch=setup.micro_batch).of(replace(job.recipe, curriculum=setup.curriculum))
    processes = setup.processes
    parts = memory(Shape.of(base.config), recipe, processes.count, longest or None, processes.device.type)
    notes = memory_notes(parts, processes.device, recipe.resources)
    if setup.fitting is None:
        return notes
    return (*notes, f"passes of {setup.micro_batch} examples fit, on paper; half as many if memory runs out")
