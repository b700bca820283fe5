"""One training run from its inputs to the checkpoint on disk: what `rim-edge train` does."""

from __future__ import annotations

import operator
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rim_runtime.machine.storage import new_folder, refuse_existing

from rim_edge.evaluation.held_out import HeldOut
from rim_edge.evaluation.plot import draw_accuracy
from rim_edge.evaluation.scores import RunScores, majority, stage_scores
from rim_edge.methods.qthink.checkpoint import write_latent
from rim_edge.model.adapter import ADAPTER, write_adapter
from rim_edge.model.trainable import TrainableModel, write_trained
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.recipe import Keep
from rim_edge.training.callbacks import Listener, Listeners, Measured, RunStart, StateSaver, records
from rim_edge.training.identity import Continuation, Identity, go_on, identify
from rim_edge.training.job import PICTURE, Job, Outcome
from rim_edge.training.loop import Measure, Score, train
from rim_edge.training.out_of_memory import AROUND_THE_STEPS, report_out_of_memory
from rim_edge.training.prepare import Inputs, Prepared, check_inputs, prepare, read_inputs
from rim_edge.training.processes import Processes
from rim_edge.training.saved_states import (
    METRICS,
    FoundState,
    SavedStates,
    require_same_state,
    restore,
    restore_best,
)
from rim_edge.training.stage_scores import right_answers, right_with_all
from rim_edge.training.state import RightAnswers, StageResult, TrainingState
from rim_edge.training.step import TrainingSetup
from rim_edge.training.stopping import StopRequest
from rim_edge.training.summary import SUMMARY, write_summary
from rim_edge.training.targets import check_room, check_targets

_NOBODY = Listener()


def run_job(job: Job, listener: Listener = _NOBODY, stop: StopRequest | None = None) -> Outcome | None:
    """Train, score and write the checkpoint; None in every process of a run but the first.

    Bad inputs are refused before anything is trained. Raises StoppedError after `stop` is made, and
    OutOfMemoryError with what to change, whether the model, a pass or the checkpoint took too much.
    """
    stop = stop or StopRequest()
    check_targets(job)
    check_inputs(job)
    saved = SavedStates.beside(job.out)
    if not job.resume:
        saved.refuse_unfinished()
    processes = Processes(job.recipe.resources.sharding, job.device)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    with report_out_of_memory(AROUND_THE_STEPS):
        outcome = _run(job, processes, saved, listener, stop)
    processes.end()
    return outcome


def _run(
    job: Job, processes: Processes, saved: SavedStates, listener: Listener, stop: StopRequest
) -> Outcome | None:
    if not processes.is_first:
        _follow(job, read_inputs(job, _NOBODY.doing), processes, saved, stop)
        return None
    inputs = read_inputs(job, listener.doing)
    check_room(job, inputs.base)
    with saved.in_use() as left:
        refuse_existing(job.out)  # again: the run that had the lock may have written it
        return _lead(job, _Lead(inputs, processes, saved, left), listener, stop)


@dataclass(frozen=True)
class _Lead:
    """What the process that writes begins with."""

    inputs: Inputs
    processes: Processes
    saved: SavedStates
    left: tuple[str, ...]


def _lead(job: Job, lead: _Lead, listener: Listener, stop: StopRequest) -> Outcome:
    """Train as the process that writes. The state before writing is saved, so nothing here costs the weights."""
    saved = lead.saved
    found = _find(job, saved, listener.doing)
    prepared = prepare(job, lead.inputs, lead.processes, listener.doing)
    listener.doing("identifying the model and the data by their SHA-256")
    identity = identify(job, prepared.setup.curriculum)
    begun = _begin(found, identity, prepared)
    notes = (*lead.left, *(found.notes if found else ()), *begun.notes, *prepared.notes)
    listener.begin(RunStart(prepared.reports, prepared.held_out, prepared.setup.curriculum, notes))
    listener.doing("beginning")
    saved.metrics.write_text("" if found is None else found.metrics, encoding="utf-8")
    with saved.named_in_errors():
        return _train(job, prepared, begun.state, StateSaver(saved, identity), listener, stop)


def _follow(job: Job, inputs: Inputs, processes: Processes, saved: SavedStates, stop: StopRequest) -> None:
    """Train as one of the processes that only compute."""
    found = _find(job, saved, _NOBODY.doing)
    prepared = prepare(job, inputs, processes, _NOBODY.doing)
    begun = _begin(found, identify(job, prepared.setup.curriculum), prepared)
    with stop:
        score, measure = _scorer(prepared, _NOBODY, stop), _measurer(prepared, _NOBODY)
        state = train(prepared.setup, start=begun.state, score=score, measure=measure, stop=lambda: stop.is_made)
        _with_best(prepared, saved, state, score)


def _find(job: Job, saved: SavedStates, doing: Callable[[str], None]) -> FoundState | None:
    """Return the state to go on from; damaged ones are refused before a model is loaded."""
    if not job.resume:
        return None
    doing("checking the saved state")
    return saved.find()


def _begin(found: FoundState | None, identity: Identity, prepared: Prepared) -> Continuation:
    """Return where the run begins, with the weights of the saved state in the model."""
    curriculum, processes = prepared.setup.curriculum, prepared.setup.processes
    require_same_state(processes.gather(0 if found is None else found.state.done))
    if found is None:
        return Continuation(TrainingState().planned(curriculum))
    begun = go_on(str(found.folder), found.identity, found.state, identity, curriculum)
    optimizer = restore(found, prepared.trainable.model)
    best = begun.state.best if prepared.setup.scoring.keep is Keep.BEST else None
    return replace(begun, state=replace(begun.state, optimizer=optimizer, best=best))


def _train(
    job: Job, prepared: Prepared, start: TrainingState, saver: StateSaver, listener: Listener, stop: StopRequest
) -> Outcome:
    metrics = saver.saved.metrics
    events = job.tensorboard and job.tensorboard / job.out.name
    with records(metrics, events, start.done) as written, stop:
        everyone = Listeners((*written, listener, saver))
        score = _scorer(prepared, everyone, stop)
        measure = _measurer(prepared, everyone)
        state = train(
            prepared.setup, everyone, start=start, score=score, measure=measure, stop=lambda: stop.is_made
        )
        state = _with_best(prepared, saver.saved, state, score)
    listener.doing("writing the checkpoint")
    scores = _scores(prepared.held_out, state.finished)
    outcome = Outcome(job.out, state.finished, prepared.reports, start.done, scores, start.plans, state.best)
    with new_folder(job.out) as folder:
        _write(folder, job, prepared.trainable)
        return _describe(folder, job, prepared.setup, outcome, saver)


def _with_best(prepared: Prepared, saved: SavedStates, state: TrainingState, score: Score) -> TrainingState:
    """Put the weights of the best score into the model, if the last are others, and score them in their place.

    So all that is told of the run is true of the checkpoint. Every process must call this.
    """
    if state.best is None or state.best.done == state.done:
        return state
    prepared.setup.processes.gather(state.done)  # the first one has written all that it saves
    restore_best(saved, state, prepared.trainable.model)
    return state.scored(score(prepared.setup.curriculum.stages[-1]))


def _write(folder: Path, job: Job, trainable: TrainableModel) -> None:
    if trainable.rim is None:
        write_latent(folder, trainable, job.latent)
        return
    if trainable.adapted is not None and job.model is not None:
        write_adapter(folder / ADAPTER, trainable, job.model)  # before the weights take it in
    write_trained(folder, trainable)


def _describe(folder: Path, job: Job, setup: TrainingSetup, outcome: Outcome, saver: StateSaver) -> Outcome:
    """Write what lies beside the weights, as far as that is possible, and return the outcome with what was not."""
    no_picture, scores = _no_picture(job, setup, outcome.scores), outcome.scores
    if scores is not None and no_picture is None:
        no_picture = _attempt(folder / PICTURE, lambda target: draw_accuracy(scores, target))
    outcome = replace(outcome, no_picture=no_picture)
    notes = (
        _attempt(folder / METRICS, lambda target: shutil.copyfile(saver.saved.metrics, target)),
        _attempt(folder / SUMMARY, lambda target: write_summary(target, job, setup, outcome, saver.identity)),
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
    if setup.curriculum.is_latent:
        return "not scored, because latent steps are followed by text; rim-edge eval --as latent scores it"
    if setup.processes.is_sharded:
        return "not scored, because the processes share the layers out; rim-edge eval scores the checkpoint"
    if job.files and job.eval_file is None:
        return "not scored; pass --eval FILE, rows that are not trained on"
    return f"not scored, because the arm {job.arm} writes its steps; rim-edge eval --chain scores those"


def _scorer(prepared: Prepared, listener: Listener, stop: StopRequest) -> Score:
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


def _measurer(prepared: Prepared, listener: Listener) -> Measure:
    """Return the function that scores within a stage and reports the score."""

    def measure(stage: Stage, state: TrainingState) -> int | None:
        held_out = prepared.held_out
        if held_out is None:
            return None
        right = right_with_all(prepared.setup, held_out.items, stage, listener.doing)
        if right is not None:
            listener.measured(Measured(stage.name, state.steps, state.done, right, len(held_out.items)))
        return right

    return measure


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
