"""Scores after a stage, with the weights as they are trained, by all processes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rim_edge.errors import StoppedError
from rim_edge.evaluation.checkpoint_answers import answers_read
from rim_edge.evaluation.items import Item
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.recipe import Arithmetic
from rim_edge.recipe.switches import Objective
from rim_edge.training.state import RightAnswers
from rim_edge.training.step import TrainingSetup, is_stopped

_WITH_BLOCKS = (Objective.STEPS, Objective.ANSWER, Objective.FADING_BLOCKS)
_WITHOUT = (Objective.DIRECT, Objective.FADING, Objective.MARKED_STEPS)


def budgets(stage: Stage, blocks: int) -> range:
    """Return the numbers of blocks that a stage is scored with: those that it trains an answer for, and 0.

    Empty for plain text, and for what writes: `rim-edge eval --as chain` and `--as latent` score that.
    """
    if stage.objective in _WITH_BLOCKS:
        return range(blocks + 1)
    return range(1 if stage.objective in _WITHOUT else 0)


def right_answers(
    setup: TrainingSetup,
    items: Sequence[Item],
    stage: Stage,
    doing: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
) -> RightAnswers:
    """Return how many items are answered right with 0, 1, … blocks; each process answers its share of them.

    Raises StoppedError between two of these numbers, if the run is to stop.
    """
    return _counted(setup, items, stage, budgets(stage, setup.method.encoder.contract.blocks), doing, stop)


def right_with_all(
    setup: TrainingSetup,
    items: Sequence[Item],
    stage: Stage,
    doing: Callable[[str], None],
) -> int | None:
    """Return how many items are answered right with the most blocks that the stage is scored with.

    None where it is not scored. It is not stopped: a resumed run would go on without this score.
    """
    most = budgets(stage, setup.method.encoder.contract.blocks)[-1:]
    return _counted(setup, items, stage, most, doing, lambda: False).counts[0] if most else None


def _counted(
    setup: TrainingSetup,
    items: Sequence[Item],
    stage: Stage,
    counts: Sequence[int],
    doing: Callable[[str], None],
    stop: Callable[[], bool],
) -> RightAnswers:
    mine = items[setup.processes.number :: setup.processes.count]
    setup.model.eval()
    found: list[tuple[int, int]] = []
    most = setup.method.encoder.contract.blocks
    for blocks in counts:
        doing(f"scoring {stage.name} on {len(items):,} questions with {blocks} of {most} blocks")
        shares = setup.processes.gather(_right(setup, mine, blocks))
        found.append((sum(count for count, _ in shares), sum(letters for _, letters in shares)))
        if is_stopped(setup, stop):
            raise StoppedError(f"Stopped while {stage.name} was scored.")
    setup.model.train()
    return RightAnswers(tuple(count for count, _ in found), tuple(letters for _, letters in found))


def _right(setup: TrainingSetup, items: Sequence[Item], blocks: int) -> tuple[int, int]:
    """Return how many items are answered right, and how many of those with letters are."""
    if not items:
        return 0, 0
    bf16 = setup.resources.arithmetic is Arithmetic.BF16
    with torch.autocast(setup.processes.device.type, torch.bfloat16, enabled=bf16):
        read = answers_read(setup.model, setup.method.encoder, items, blocks)
    right = [item for found, item in zip(read, items, strict=True) if found == item.answer]
    return len(right), sum(bool(item.letters) for item in right)
