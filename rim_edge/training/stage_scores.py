"""Scores after a stage, with the weights as they are trained, by all processes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rim_edge.errors import StoppedError
from rim_edge.evaluation.checkpoint_answers import best_letters, texts_read
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.readers.every_budget import letters_by_budget
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

    Letters are read with all these numbers together, texts number by number. Raises StoppedError after any of
    this, if the run is to stop.
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
    counts: range,
    doing: Callable[[str], None],
    stop: Callable[[], bool],
) -> RightAnswers:
    if not counts:
        return RightAnswers()
    mine = items[setup.processes.number :: setup.processes.count]
    setup.model.eval()
    what = f"scoring {stage.name} on {len(items):,} questions with"
    most = setup.method.encoder.contract.blocks
    letters, written = dict.fromkeys(counts, 0), dict.fromkeys(counts, 0)
    if any(item.letters for item in items):
        doing(f"{what} {f'{counts[0]} to {most}' if len(counts) > 1 else f'{counts[0]} of {most}'} blocks")
        letters = _added(setup, _right_letters(setup, mine, counts))
        _stop_if_asked(setup, stage, stop)
    if not all(item.letters for item in items):
        for blocks in counts:
            doing(f"{what} {blocks} of {most} blocks")
            written |= _added(setup, {blocks: _right_texts(setup, mine, blocks)})
            _stop_if_asked(setup, stage, stop)
    setup.model.train()
    return RightAnswers(
        tuple(letters[blocks] + written[blocks] for blocks in counts), tuple(letters[blocks] for blocks in counts)
    )


def _added(setup: TrainingSetup, right: dict[int, int]) -> dict[int, int]:
    """Return what all processes count together. Every process must call this."""
    shares = setup.processes.gather(right)
    return {blocks: sum(share[blocks] for share in shares) for blocks in right}


def _stop_if_asked(setup: TrainingSetup, stage: Stage, stop: Callable[[], bool]) -> None:
    if is_stopped(setup, stop):
        raise StoppedError(f"Stopped while {stage.name} was scored.")


def _right_letters(setup: TrainingSetup, items: Sequence[Item], counts: range) -> dict[int, int]:
    """Return how many of the items with letters are answered right, by the number of blocks."""
    asked = [item for item in items if item.letters]
    if not asked:
        return dict.fromkeys(counts, 0)
    with _arithmetic(setup):
        read = letters_by_budget(setup.model, setup.method.encoder, asked, counts)
    return {blocks: _right(best_letters(one.logits, asked), asked) for blocks, one in read.items()}


def _right_texts(setup: TrainingSetup, items: Sequence[Item], blocks: int) -> int:
    """Return how many of the other items are answered right."""
    asked = [item for item in items if not item.letters]
    if not asked:
        return 0
    with _arithmetic(setup):
        return _right(texts_read(setup.model, setup.method.encoder, asked, blocks), asked)


def _right(read: Sequence[str], items: Sequence[Item]) -> int:
    return sum(found == item.answer for found, item in zip(read, items, strict=True))


def _arithmetic(setup: TrainingSetup) -> torch.autocast:
    """Return what computes as the stage is trained."""
    bf16 = setup.resources.arithmetic is Arithmetic.BF16
    return torch.autocast(setup.processes.device.type, torch.bfloat16, enabled=bf16)
