"""The training loop: one process, seeded, one stage after the other, each with a fresh optimizer and schedule.

Deterministic: the same run with the same seed and thread count gives the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rim_edge.train.curriculum import Curriculum, Schedule, Stage
from rim_edge.train.encode import ExampleEncoder
from rim_edge.train.errors import DivergedError
from rim_edge.train.losses import labelled_logits, readout_nll, readout_weights
from rim_edge.train.packing import pack
from rim_edge.train.sources import ExampleSource


@dataclass(frozen=True)
class Run:
    """Everything that a training run consists of."""

    model: Any
    """A transformers causal language model in fp32, trained in place."""
    encoder: ExampleEncoder
    """Makes ids of examples."""
    source: ExampleSource
    """Gives the examples."""
    curriculum: Curriculum
    """What is trained, and for how long."""
    padding: int
    """The id that fills rows."""


@dataclass(frozen=True)
class Step:
    """What one optimizer step did; handed to the caller's `report`."""

    stage: str
    """The stage's name."""
    step: int
    """Steps done in this stage, from 1."""
    loss: float
    """The weighted loss, mean over the rows."""
    nll: tuple[float, ...]
    """Unweighted -log p by the readouts' place t, mean over the rows that have one."""
    learning_rate: float
    """The rate of this step."""
    seconds: float
    """Since the run began."""


@dataclass(frozen=True)
class StageResult:
    """How a stage ended."""

    name: str
    """The stage's name."""
    steps: int
    """Optimizer steps done."""
    loss: float
    """Mean loss of the last steps, 20 at most."""
    seconds: float
    """Wall time."""


def train(run: Run, report: Callable[[Step], None]) -> list[StageResult]:
    """Train all stages in place; `report` is called after every optimizer step."""
    began = time.monotonic()
    run.model.train()
    results = [_train_stage(run, stage, began, report) for stage in run.curriculum.stages]
    run.model.eval()
    return results


def learning_rate(stage: Stage, step: int) -> float:
    """Return the rate of step `step` (0..steps-1): a linear warm-up, then the stage's schedule."""
    warmup = max(1, round(stage.warmup_share * stage.steps))
    if step < warmup:
        return stage.learning_rate * (step + 1) / warmup
    if stage.schedule is Schedule.CONSTANT:
        return stage.learning_rate
    return stage.learning_rate * max(1, stage.steps - step) / max(1, stage.steps - warmup)


def _train_stage(run: Run, stage: Stage, began: float, report: Callable[[Step], None]) -> StageResult:
    started = time.monotonic()
    optimizer = _optimizer(run.model, stage, run.curriculum.betas)
    losses: list[float] = []
    while _goes_on(stage, losses):
        rate = learning_rate(stage, len(losses))
        loss, nll = _loss(run, stage, len(losses))
        _update(run, optimizer, loss, rate)
        losses.append(loss.item())
        report(Step(stage.name, len(losses), losses[-1], nll, rate, time.monotonic() - began))
    return StageResult(stage.name, len(losses), _recent(losses), time.monotonic() - started)


def _goes_on(stage: Stage, losses: list[float]) -> bool:
    """Whether the stage has another step: one of its own, or one of its extension."""
    done, extension = len(losses), stage.extension
    if done < stage.steps or extension is None:
        return done < stage.steps
    return done < extension.at_most and _recent(losses) >= extension.loss


def _recent(losses: list[float]) -> float:
    last = losses[-20:]
    return sum(last) / len(last)


def _update(run: Run, optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    if not torch.isfinite(loss):
        raise DivergedError(
            f"The loss is {loss.item()} at the learning rate {rate}, expected a number. Lower the rate."
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.curriculum.clip_norm)
    optimizer.step()


def _loss(run: Run, stage: Stage, step: int) -> tuple[Tensor, tuple[float, ...]]:
    examples = run.source.draw(run.curriculum.batch_size, stage.objective)
    samples = [run.encoder.sample(example, stage) for example in examples]
    batch = pack(samples, run.encoder.contract.block, run.padding)
    weights = readout_weights(samples, stage, step)
    nll = readout_nll(labelled_logits(run.model, batch), batch, len(weights))
    places = torch.tensor([readout.step for sample in samples for readout in sample.readouts])
    return (weights * nll).sum() / len(samples), _by_place(nll.detach(), places)


def _by_place(nll: Tensor, places: Tensor) -> tuple[float, ...]:
    found = sorted(set(places.tolist()))
    return tuple(nll[places == place].mean().item() for place in found)


def _optimizer(model: torch.nn.Module, stage: Stage, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Return a fresh AdamW; norms and other vectors do not decay."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.learning_rate, betas=betas)
