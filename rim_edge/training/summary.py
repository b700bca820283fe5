"""training.json beside the weights: the resolved run, what was read, and how it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from rim_runtime.errors import TargetExistsError
from rim_runtime.machine.json_files import read_json

from rim_edge.recipe.arms import for_arm
from rim_edge.recipe.recipe import Trains
from rim_edge.training.identity import Identity, identify
from rim_edge.training.job import Job, Outcome
from rim_edge.training.prepare import check_inputs
from rim_edge.training.step import TrainingSetup

SUMMARY = "training.json"


def write_summary(target: Path, job: Job, setup: TrainingSetup, outcome: Outcome, identity: Identity) -> None:
    """Write training.json."""
    recipe, scores = job.recipe, outcome.scores
    summary = {
        "recipe": recipe.name,
        "arm": job.arm,
        "model": None if job.model is None else job.model.name,
        "data": [asdict(report) for report in outcome.data],
        "leaked_rows": job.leaked_rows,
        "seed": job.seed,
        "threads": torch.get_num_threads(),
        "processes": setup.processes.count,
        "trains": recipe.trains,
        "latent": asdict(job.latent) if setup.curriculum.is_latent else None,
        "lora": asdict(recipe.lora) if recipe.trains is Trains.LORA else None,
        "limits": asdict(recipe.limits),
        "resources": asdict(recipe.resources),
        "lengths": _lengths(job),
        "identity": identity.fingerprints,
        "curriculum": asdict(setup.curriculum),
        "prompt": asdict(setup.method.encoder.contract),
        "plans": [asdict(plan) for plan in outcome.plans],
        "stages": [asdict(replace(stage, seconds=round(stage.seconds, 1))) for stage in outcome.stages],
        "resumed_at": outcome.resumed_at,
        "scoring": asdict(recipe.scoring),
        "best": outcome.best and {"done": outcome.best.done, "right": outcome.best.right},
        "scores": None if scores is None else scores.to_json(),
        "accuracy_by_blocks": outcome.accuracy_by_blocks,
    }
    target.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def is_finished(job: Job) -> bool:
    """Whether the output is there already, and was written by this very run.

    Hashes the model's weights and the data, as a run does that goes on. Raises TargetExistsError where another run
    wrote it, or one of other lengths, or where that cannot be found out, and DataError for data that are gone.
    """
    if not job.out.is_dir():
        return False
    path = job.out / SUMMARY
    try:
        told = read_json(path)
        then, lengths = dict(told["identity"]), told["lengths"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TargetExistsError(
            f"{job.out} already exists, and {path} does not say which run wrote it "
            f"({type(error).__name__}: {error}). Choose another --output, or delete it first."
        ) from None
    check_inputs(job)
    now = identify(job, for_arm(job.recipe.curriculum, job.arm)).fingerprints
    changed = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    if changed:
        raise TargetExistsError(
            f"{job.out} is the result of a finished run with another {', '.join(changed)}. Choose another "
            "--output, or delete it first."
        )
    if lengths != _lengths(job):
        raise TargetExistsError(
            f"{job.out} is the result of a finished run of other lengths, and cannot be made longer: its "
            f"optimizer is gone. Train on from its weights: --model {job.out}, another --output, what is missing."
        )
    return True


def _lengths(job: Job) -> list[object]:
    """Return the lengths that were asked for, as JSON."""
    stages = [[stage.steps, stage.epochs] for stage in job.recipe.curriculum.stages]
    return [job.steps, job.epochs, stages]
