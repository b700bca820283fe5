"""One training run from its inputs to the checkpoint on disk: what `rim-edge train` does."""

from __future__ import annotations

import json
import operator
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import derive_contract
from rim_runtime.bundle.folder import sha256_file
from rim_runtime.machine.storage import new_folder, refuse_existing

from rim_edge.data.files import ReadFile, read_file
from rim_edge.data.puzzle_source import PuzzleSource
from rim_edge.errors import CurriculumError, DataError
from rim_edge.evaluation.held_out import HeldOut, held_out_puzzles, hold_out, read_eval_file
from rim_edge.evaluation.plot import draw_accuracy
from rim_edge.evaluation.scores import RunScores, majority, stage_scores
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.model.trainable import TrainableModel, load_trainable, write_trained
from rim_edge.recipe.arms import Arm, for_arm
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.inputs import BadRows, DataFile, EvalFile
from rim_edge.recipe.recipe import Recipe, Trains
from rim_edge.training.callbacks import Listener, Listeners, RunStart, StateSaver, records
from rim_edge.training.gather import FileReport, Gathered, gather
from rim_edge.training.loop import Score, train
from rim_edge.training.processes import Processes
from rim_edge.training.stage_scores import right_answers
from rim_edge.training.state import METRICS, Rates, RightAnswers, SavedStates, StageResult, TrainingState
from rim_edge.training.step import TrainingSetup
from rim_edge.training.stopping import StopRequest

PICTURE, SUMMARY = "accuracy.svg", "training.json"
"""The run's scores, drawn; the resolved run and how it ended."""
_NOBODY = Listener()


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
    """Files of rows. Empty: the recipe's; if it has none either, puzzles, for the demo preset."""
    steps: int | None = None
    """Optimizer steps of all stages together; None keeps the recipe's."""
    arm: Arm = Arm.RIM
    """RiM, or one of its controls."""
    seed: int = 0
    """Seed of weights, order, puzzles and dropout."""
    threads: int | None = None
    """CPU threads; None leaves torch's choice."""
    bad_rows: BadRows = BadRows.REFUSE
    """What happens to rows that cannot be used."""
    eval: EvalFile | None = None
    """Rows to score after each stage. None: the recipe's; if it has none either, puzzles, if they are trained."""
    tensorboard: Path | None = None
    """Where TensorBoard's events go, in a folder with the output's name; None writes none."""
    resume: bool = False
    """Whether to go on from the last saved state, where there is one."""

    @property
    def curriculum(self) -> Curriculum:
        """The recipe's curriculum in `steps` steps, as the arm trains it."""
        whole = self.recipe.curriculum
        return for_arm(whole if self.steps is None else whole.scaled(self.steps), self.arm)

    @property
    def files(self) -> tuple[DataFile, ...]:
        """The files of rows."""
        return self.data or self.recipe.data

    @property
    def eval_file(self) -> EvalFile | None:
        """The file of rows to score."""
        return self.eval or self.recipe.eval


@dataclass(frozen=True)
class Outcome:
    """The result of a finished run."""

    checkpoint: Path
    """The folder."""
    stages: tuple[StageResult, ...]
    """How each stage ended."""
    data: tuple[FileReport, ...]
    """What was read of each file, and what was left out."""
    resumed_at: int
    """Optimizer steps that an earlier process had done; 0 for an uninterrupted run."""
    scores: RunScores | None
    """Scores after the stages, with the weights as they were trained; None if the run was not scored."""
    rates: tuple[Rates, ...]
    """The learning rates, one entry whenever they were changed."""
    no_picture: str | None = None
    """Why the scores are not drawn; None where they are."""
    notes: tuple[str, ...] = ()
    """What could not be written beside the weights, and why."""

    @property
    def accuracy_by_blocks(self) -> tuple[float, ...] | None:
        """After the last stage that is scored, with 0, 1, … blocks."""
        if self.scores is None:
            return None
        return tuple(score.accuracy for score in self.scores.stages[-1].by_blocks)

    @property
    def picture(self) -> Path | None:
        """The scores, drawn."""
        return self.checkpoint / PICTURE if self.no_picture is None else None


def run_job(job: Job, listener: Listener = _NOBODY, stop: StopRequest | None = None) -> Outcome | None:
    """Train, score and write the checkpoint; None in every process of a run but the first.

    Bad inputs are refused before anything is trained. Raises StoppedError after `stop` is made.
    """
    stop = stop or StopRequest()
    refuse_existing(job.out)
    inputs = _read(job)
    saved = SavedStates.beside(job.out, _identity(job))
    if not job.resume:
        saved.refuse_unfinished()
    processes = Processes(job.recipe.resources.sharding)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    outcome = None
    if processes.is_first:
        with saved.in_use() as metrics:
            refuse_existing(job.out)  # again: the run that had the lock may have written it
            listener.doing("reading the model and the data")
            prepared = _prepare(job, inputs, processes)
            listener.begin(RunStart(prepared.reports, prepared.held_out, job.curriculum))
            listener.doing("beginning")
            with saved.named_in_errors():
                outcome = _lead(job, prepared, saved, metrics, listener, stop)
    else:
        prepared = _prepare(job, inputs, processes)
        start = _start(job, saved, prepared.trainable)
        with stop:
            train(prepared.setup, start=start, score=_scorer(prepared, _NOBODY, stop), stop=lambda: stop.is_made)
    processes.end()
    return outcome


def is_finished(job: Job) -> bool:
    """Whether the output is there already, and was written by a run of this recipe, arm and seed."""
    try:
        told = json.loads((job.out / SUMMARY).read_text(encoding="utf-8"))
        return bool([told["recipe"], told["arm"], told["seed"]] == [job.recipe.name, job.arm, job.seed])
    except (OSError, ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True)
class _Inputs:
    files: tuple[ReadFile, ...]
    scored: ReadFile | None


@dataclass(frozen=True)
class _Prepared:
    trainable: TrainableModel
    setup: TrainingSetup
    reports: tuple[FileReport, ...]
    held_out: HeldOut | None


def _read(job: Job) -> _Inputs:
    """Read the files, and refuse a job without data or model, before a large model is loaded."""
    recipe = job.recipe
    if not job.files and recipe.scratch is None:
        raise DataError(f"The recipe '{recipe.name}' has no data of its own. Pass --data FILE.")
    files = tuple(read_file(file, job.bad_rows) for file in job.files)
    if job.model is None and recipe.scratch is None:
        raise CurriculumError(f"The recipe '{recipe.name}' has no model of its own. Pass --model DIR.")
    if job.model is not None:
        Checkpoint.open(job.model)  # what could not be exported need not be trained
    scored = None if job.eval_file is None else read_eval_file(job.eval_file, job.bad_rows)
    return _Inputs(files, scored)


def _prepare(job: Job, inputs: _Inputs, processes: Processes) -> _Prepared:
    trainable = load_trainable(job.recipe, job.model, job.seed)
    encoder = ExampleEncoder(trainable.tokenizer, derive_contract(trainable.tokenizer, trainable.rim))
    positions = trainable.model.config.max_position_embeddings
    gathered = Gathered(PuzzleSource(job.seed), ())
    if inputs.files:
        recipe = replace(job.recipe, curriculum=job.curriculum)
        gathered = gather(inputs.files, encoder, recipe, positions, job.seed)
    setup = TrainingSetup(
        model=trainable.model,
        encoder=encoder,
        source=gathered.source,
        curriculum=job.curriculum,
        padding=trainable.padding,
        resources=job.recipe.resources,
        seed=job.seed,
        processes=processes,
    )
    held_out = None if processes.is_sharded else _held_out(inputs, encoder, positions)
    return _Prepared(trainable, setup, gathered.reports, held_out)


def _held_out(inputs: _Inputs, encoder: ExampleEncoder, positions: int) -> HeldOut | None:
    """Return what is scored: the file's rows; without one, puzzles where puzzles are trained."""
    if inputs.scored is not None:
        return hold_out(inputs.scored, encoder, inputs.files, positions)
    return None if inputs.files else held_out_puzzles()


def _lead(
    job: Job, prepared: _Prepared, saved: SavedStates, metrics: Path, listener: Listener, stop: StopRequest
) -> Outcome:
    """Train as the process that writes. The state before writing is saved, so nothing here costs the weights."""
    start = _start(job, saved, prepared.trainable)
    events = job.tensorboard and job.tensorboard / job.out.name
    with records(metrics, events, start.done) as written, stop:
        everyone = Listeners((*written, listener, StateSaver(saved, metrics)))
        score = _scorer(prepared, everyone, stop)
        stages = train(prepared.setup, everyone, start=start, score=score, stop=lambda: stop.is_made)
    listener.doing("writing the checkpoint")
    scores = _scores(prepared.held_out, stages)
    outcome = Outcome(job.out, stages, prepared.reports, start.done, scores, start.rates)
    with new_folder(job.out) as folder:
        write_trained(folder, prepared.trainable)
        return _describe(folder, job, prepared.setup, outcome, metrics)


def _describe(folder: Path, job: Job, setup: TrainingSetup, outcome: Outcome, metrics: Path) -> Outcome:
    """Write what lies beside the weights, as far as that is possible, and return the outcome with what was not."""
    no_picture, scores = _no_picture(job, setup, outcome.scores), outcome.scores
    if scores is not None and no_picture is None:
        no_picture = _attempt(folder / PICTURE, lambda target: draw_accuracy(scores, target))
    outcome = replace(outcome, no_picture=no_picture)
    notes = (
        _attempt(folder / METRICS, lambda target: shutil.copyfile(metrics, target)),
        _attempt(folder / SUMMARY, lambda target: _write_summary(target, job, setup, outcome)),
    )
    return replace(outcome, notes=tuple(note for note in notes if note))


def _attempt(target: Path, write: Callable[[Path], object]) -> str | None:
    """Write a file, or return why it could not be written: the weights are worth more than what describes them."""
    try:
        write(target)
    except Exception as error:  # noqa: BLE001 (a library that draws may raise anything)
        target.unlink(missing_ok=True)
        return f"{target.name} could not be written ({type(error).__name__}: {error})"
    return None


def _no_picture(job: Job, setup: TrainingSetup, scores: RunScores | None) -> str | None:
    """Return why there is no picture of accuracy by blocks, if there is none."""
    if scores is not None:
        several = any(len(stage.by_blocks) > 1 for stage in scores.stages)
        return None if several else f"the arm {job.arm} is trained and scored with 0 blocks alone"
    if setup.processes.is_sharded:
        return "not scored, because the processes share the layers out; rim-edge eval scores the checkpoint"
    if job.files and job.eval_file is None:
        return "not scored; pass --eval FILE, rows that are not trained on"
    return f"not scored, because the arm {job.arm} writes its steps; rim-edge eval --chain scores those"


def _scorer(prepared: _Prepared, listener: Listener, stop: StopRequest) -> Score:
    """Return the function that scores a finished stage and reports the scores."""

    def score(stage: Stage) -> RightAnswers:
        held_out = prepared.held_out
        if held_out is None:
            return RightAnswers()
        right = right_answers(prepared.setup, held_out.items, stage, listener.doing, lambda: stop.is_made)
        if right.counts:
            listener.scored(stage_scores(stage.name, right.counts, len(held_out.items)))
        return right

    return score


def _scores(held_out: HeldOut | None, stages: Sequence[StageResult]) -> RunScores | None:
    if held_out is None or not any(stage.right for stage in stages):
        return None
    letters = [item.answer for item in held_out.items if item.letters]
    written = [item.answer for item in held_out.items if not item.letters]
    counts = [(stage.name, stage.right, stage.right_letters) for stage in stages if stage.right]
    whole = _run_scores(held_out.name, letters + written, [(name, right) for name, right, _ in counts])
    if not letters or not written:
        return whole
    others = [(name, tuple(map(operator.sub, right, with_letters))) for name, right, with_letters in counts]
    return replace(
        whole,
        letters=_run_scores("letters", letters, [(name, with_letters) for name, _, with_letters in counts]),
        open=_run_scores("open answers", written, others),
    )


def _run_scores(name: str, answers: Sequence[str], right: Sequence[tuple[str, tuple[int, ...]]]) -> RunScores:
    """Return the scores on questions with these answers from each stage's name and counts."""
    stages = tuple(stage_scores(stage, counts, len(answers)) for stage, counts in right)
    return RunScores(name, stages, majority(answers))


def _start(job: Job, saved: SavedStates, trainable: TrainableModel) -> TrainingState:
    latest = saved.latest() if job.resume else None
    state = TrainingState() if latest is None else saved.restore(latest, trainable.model)
    return state.with_rates(tuple(stage.learning_rate for stage in job.curriculum.stages))


def _identity(job: Job) -> dict[str, Any]:
    """Return what a run must have in common with the one it resumes; resources and learning rates may differ."""
    recipe, curriculum = job.recipe, asdict(job.curriculum)
    base = None if job.model is None else Checkpoint.open(job.model)
    for stage in curriculum["stages"]:
        del stage["learning_rate"]
    return {
        "recipe": recipe.name,
        "blocks": recipe.rim.to_config(),
        "trains": [recipe.trains, asdict(recipe.lora)],
        "limits": asdict(recipe.limits),
        "curriculum": curriculum,
        "arm": job.arm,
        "seed": job.seed,
        "model": None if base is None else [dict(base.config), base.weights_sha256()],
        "data": [[sha256_file(file.path), file.weight, file.steps] for file in job.files],
        "bad rows": job.bad_rows,
        "eval": job.eval_file and [sha256_file(job.eval_file.path), job.eval_file.rows],
    }


def _write_summary(target: Path, job: Job, setup: TrainingSetup, outcome: Outcome) -> None:
    """Write training.json: the resolved run, what was read, and how it ended."""
    recipe, scores = job.recipe, outcome.scores
    summary = {
        "recipe": recipe.name,
        "arm": job.arm,
        "model": None if job.model is None else job.model.name,
        "data": [asdict(report) for report in outcome.data],
        "seed": job.seed,
        "threads": torch.get_num_threads(),
        "processes": setup.processes.count,
        "trains": recipe.trains,
        "lora": asdict(recipe.lora) if recipe.trains is Trains.LORA else None,
        "limits": asdict(recipe.limits),
        "resources": asdict(recipe.resources),
        "curriculum": asdict(setup.curriculum),
        "prompt": asdict(setup.encoder.contract),
        "learning_rates": [asdict(rates) for rates in outcome.rates],
        "stages": [asdict(replace(stage, seconds=round(stage.seconds, 1))) for stage in outcome.stages],
        "resumed_at": outcome.resumed_at,
        "scores": None if scores is None else scores.to_json(),
        "accuracy_by_blocks": outcome.accuracy_by_blocks,
    }
    target.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
