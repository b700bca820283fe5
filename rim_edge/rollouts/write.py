"""A folder of rollouts: texts first, which are kept as they come, then the states of all of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from rim_runtime.machine.storage import require_writable, write_bytes
from safetensors.torch import save

from rim_edge.evaluation.arithmetic import choose_arithmetic
from rim_edge.evaluation.latent_model import latent_encoder
from rim_edge.evaluation.readers.checkpoint_reader import OpenModel, open_model
from rim_edge.methods.qthink.teachers import TEACHERS
from rim_edge.rollouts.plan import RolloutPlan, RolloutResult
from rim_edge.rollouts.states import teacher_states
from rim_edge.rollouts.texts import RolloutFile, written

Counted = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows how much of something is done: its name, and how much there is."""


def open_writer(model: Path, device: str) -> OpenModel:
    """Return the checkpoint that writes, with prompts that say nothing of thinking. Raises CheckpointError."""
    opened = open_model(model, choose_arithmetic(model, device, None))
    return replace(opened, encoder=latent_encoder(opened.encoder))


def write_rollouts(folder: Path, plan: RolloutPlan, opened: OpenModel, counted: Counted) -> RolloutResult:
    """Write a folder, or go on with one of the same run; raises TargetExistsError and StorageError.

    Without latent steps in the plan there are texts alone.
    """
    require_writable(folder)
    file = RolloutFile(folder, plan)
    each = 1 if plan.draws is None else plan.draws.samples
    total, done = len(plan.questions), len(file.rollouts) // each
    with counted("writing rollouts", (total - done) * each) as advance:
        for part in written(plan, opened, done):
            file.add(part)
            advance(len(part))
    if plan.latent.steps:
        with counted("reading states", len(file.rollouts)) as advance:
            states = teacher_states(plan, opened, file.rollouts, advance)
        write_bytes(folder / TEACHERS, save(dict(states)))
    rollouts = file.rollouts
    return RolloutResult(
        folder=folder,
        questions=total,
        rollouts=len(rollouts),
        right=sum(one.right for one in rollouts),
        with_right=len({one.question_sha256 for one in rollouts if one.right}),
        tokens=sum(one.tokens for one in rollouts),
    )
