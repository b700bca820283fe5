"""What a resumed run must have in common with the one that was interrupted, and what may change.

What lies ahead may change, what has been done may not: learning rates, schedules and lengths of the stages, what
is scored, [resources], threads and records. All else decides what was learned, or which examples come next.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rim_export.checkpoint.folder import Checkpoint
from rim_runtime.bundle.folder import sha256_file
from rim_runtime.machine.json_files import parse_json

from rim_edge.errors import CurriculumError
from rim_edge.methods.qthink.teachers import TEACHERS
from rim_edge.recipe.curriculum import Curriculum
from rim_edge.recipe.inputs import LeakedRows
from rim_edge.training.job import Job
from rim_edge.training.state import TrainingState

_AHEAD = ("learning_rate", "schedule", "warmup_share", "steps", "extension", "epochs")
"""Fields of a stage that may change when a run is resumed."""
_DETAILS = 3


@dataclass(frozen=True)
class Identity:
    """What a run is, as JSON."""

    run: Mapping[str, Any]
    """What must be the same."""
    scored_on: Any
    """What its stages are scored on; None for a run without a file to score."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """The start of a SHA-256 of each thing that must be the same, by its name."""
        return {name: _hashed(value) for name, value in self.run.items()}


def _hashed(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def identify(job: Job, curriculum: Curriculum) -> Identity:
    """Return what a run is; `curriculum` has all its lengths in steps. Hashes the model's weights and the data."""
    recipe = job.recipe
    base = None if job.model is None else Checkpoint.open(job.model)
    scored_on = job.eval_file and [sha256_file(job.eval_file.path), job.eval_file.rows]
    run = {
        "recipe": recipe.name,
        "blocks": recipe.rim.to_config(),
        "latent": _latent(job),
        "trains": [recipe.trains, asdict(recipe.lora)],
        "limits": asdict(recipe.limits),
        "curriculum": _fixed(curriculum),
        "arm": job.arm,
        "seed": job.seed,
        "model": None if base is None else [dict(base.config), base.weights_sha256()],
        "data": [[sha256_file(file.path), file.weight, file.steps] for file in job.files],
        "bad rows": job.bad_rows,
        "leaked rows": [job.leaked_rows, scored_on if job.leaked_rows is LeakedRows.DROP else None],
    }
    return Identity(*parse_json(json.dumps([run, scored_on])))


def _latent(job: Job) -> Any:
    """Return what is trained of latent steps, and their teacher; None where there are none."""
    if not job.recipe.curriculum.is_latent:
        return None
    folder = job.rollouts if job.latent.has_teacher else None
    return [asdict(job.latent), None if folder is None else sha256_file(folder / TEACHERS)]


def _fixed(curriculum: Curriculum) -> dict[str, Any]:
    whole = asdict(curriculum)
    whole["stages"] = [
        {key: value for key, value in stage.items() if key not in _AHEAD} for stage in whole["stages"]
    ]
    return whole


@dataclass(frozen=True)
class Continuation:
    """Where a resumed run goes on."""

    state: TrainingState
    """The state, with the new plan."""
    notes: tuple[str, ...] = ()
    """What has changed."""


def go_on(saved: str, then: Identity, state: TrainingState, now: Identity, curriculum: Curriculum) -> Continuation:
    """Return where this run goes on after a state of the run `then`; `saved` names the state in errors.

    A stage that has become longer goes on, also if it was finished and the next one has not begun. Raises
    CurriculumError for changes of what has been done.
    """
    _refuse_another_run(saved, then, now)
    _refuse_lengths(saved, state, curriculum)
    notes = list(_changed_lengths(state, curriculum))
    scores_differ = then.scored_on != now.scored_on
    if scores_differ and state.finished:
        notes.append("other rows are scored than before: the scores of the stages before are left out")
        if not state.steps:  # the weights are still those after the last stage
            state = state.reopened()
        finished = tuple(replace(result, right=(), right_letters=()) for result in state.finished)
        state = replace(state, finished=finished, best=None)
    elif scores_differ and state.best is not None:
        notes.append("other rows are scored than before: the best score so far is forgotten, with its weights")
        state = replace(state, best=None)
    elif state.finished and not state.steps:
        reopened = state.reopened()
        state = reopened if reopened.goes_on(curriculum.stages[len(reopened.finished)]) else state
    return Continuation(state.planned(curriculum), tuple(notes))


def _refuse_another_run(saved: str, then: Identity, now: Identity) -> None:
    changed = sorted(key for key in {*then.run, *now.run} if then.run.get(key) != now.run.get(key))
    if not changed:
        return
    details = [text for key in changed for text in _differences(key, then.run.get(key), now.run.get(key))]
    more = f" and {len(details) - _DETAILS} more" if len(details) > _DETAILS else ""
    raise CurriculumError(
        f"{saved} was saved by a run with another {', '.join(changed)} ({'; '.join(details[:_DETAILS])}{more}). "
        "What has been learned depends on it; only [resources], threads, what is scored, and rates, schedules and "
        "lengths of stages may change. Start it as it was started then, or begin anew with another --output."
    )


def _differences(place: str, then: Any, now: Any) -> Iterator[str]:
    """Give each value that differs, by its place."""
    if then == now:
        return
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            yield from _differences(f"{place}.{key}", then.get(key), now.get(key))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for index, pair in enumerate(zip(then, now, strict=True)):
            yield from _differences(f"{place}[{index}]", *pair)
    else:
        yield f"{place}: {_short(then)} then, {_short(now)} now"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 24 else f"{text[:23]}…"


def _refuse_lengths(saved: str, state: TrainingState, curriculum: Curriculum) -> None:
    """Refuse a length that what has been done contradicts."""
    was = state.plans[-1].steps
    for place, stage in enumerate(curriculum.stages[: len(state.finished) + 1]):
        done = state.finished[place].steps if place < len(state.finished) else state.steps
        if stage.steps == was[place]:
            continue
        if stage.steps < done:
            raise _length(saved, stage.name, stage.steps, f"{done:,} are done: expected at least as many")
        if stage.steps > done and _is_over(state, place):
            raise _length(saved, stage.name, stage.steps, f"it ended after {done:,} and the next one has begun")


def _is_over(state: TrainingState, place: int) -> bool:
    """Whether the stage at this place is finished, and the next one has begun."""
    return place < len(state.finished) - (0 if state.steps else 1)


def _length(saved: str, name: str, steps: int, why: str) -> CurriculumError:
    return CurriculumError(
        f"{saved} cannot go on with {steps:,} steps of {name}: {why}. Only stages that are not over can be made "
        "longer; write each stage's steps into a recipe (--config), or take the lengths of the first start."
    )


def _changed_lengths(state: TrainingState, curriculum: Curriculum) -> Iterator[str]:
    for stage, steps in zip(curriculum.stages, state.plans[-1].steps, strict=True):
        if stage.steps != steps:
            yield (
                f"{stage.name}: {stage.steps:,} steps instead of {steps:,}; from step {state.done + 1:,} of the "
                "run on, its rates and weights are those of the new length"
            )
