"""Small whole runs, and ways to interrupt them."""

import json

import pytest
import torch
from rim_export.checkpoint.prompt import RimSettings

from rim_edge.model.checkpoint import write_checkpoint
from rim_edge.puzzles.tokenizer import build_tokenizer
from rim_edge.recipe.curriculum import Curriculum, Extension, Stage
from rim_edge.recipe.inputs import DataFile
from rim_edge.recipe.recipe import Lora, Recipe, Resources, Trains
from rim_edge.recipe.switches import Objective
from rim_edge.training.job import Job
from rim_edge.training.run import run_job
from tests.train.hearing import Hearing

CURRICULUM = Curriculum(
    (
        Stage("one", Objective.STEPS, 4, 1e-2, dropout=0.2, extension=Extension(0.0, at_most=5)),
        Stage("two", Objective.ANSWER, 4, 1e-2, dropout=0.4, weight_decay=0.1),
    ),
    batch_size=2,
)
STEPS = 9
"""Stage one is extended."""


def make_base(folder, tiny_model):
    """Write a model and rows."""
    write_checkpoint(folder, tiny_model(vocabulary=1051), build_tokenizer(), RimSettings(blocks=3), torch.float32)
    write_rows(folder)
    return folder


def write_rows(folder):
    """Write what a run of these is trained on."""
    rows = [
        {"question": f"Why {n}?", "steps": ["A", "B"][: n % 3], "answer": "ABC"[n % 3], "letters": "ABCDEFGHIJ"}
        for n in range(5)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def job(base, out, trains=Trains.LORA, every=2, **options):
    recipe = Recipe("test", CURRICULUM, RimSettings(), trains, Lora(rank=2), resources=Resources(save_every=every))
    data = (DataFile(base / "rows.jsonl"),)
    return Job(recipe, out, base, data, **{"seed": 3, "threads": 1, **options})


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def losses_of(given):
    losses = []
    outcome = run_job(given, Hearing(step=lambda step: losses.append(step.loss)))
    return losses, outcome


class InterruptedByTestError(Exception):
    """The power went."""


def interrupt(given, after):
    """Run until `after` steps are done; return their losses."""
    losses = []

    def report(step):
        losses.append(step.loss)
        if len(losses) == after:
            raise InterruptedByTestError

    with pytest.raises(InterruptedByTestError):
        run_job(given, Hearing(step=report))
    return losses
