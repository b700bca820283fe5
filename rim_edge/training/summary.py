"""training.json: the resolved run, what was read, and how it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rim_edge.recipe.recipe import Trains
from rim_edge.training.step import TrainingSetup

if TYPE_CHECKING:
    from rim_edge.training.job import Job, Outcome


def write_summary(folder: Path, job: Job, run: TrainingSetup, outcome: Outcome) -> None:
    """Write training.json."""
    recipe, scores = job.recipe, outcome.scores
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
        "scores": None if scores is None else scores.to_json(),
        "accuracy_by_blocks": outcome.accuracy_by_blocks,
    }
    (folder / "training.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
