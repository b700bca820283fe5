"""The training loop: one process, seeded, one stage after the other, each with a fresh optimizer and schedule.

Deterministic: the same run with the same seed and thread count gives the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
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
    results = []
    for stage in run.curriculum.stages:
        started, losses = time.monotonic(), []
        for step in _train_stage(run, stage, began):
            losses.append(step.loss)
            report(step)
        last = losses[-20:]
        results.append(StageResult(stage.name, stage.steps, sum(last) / len(last), time.monotonic() - started))
    run.model.eval()
    return results


def learning_rate(stage: Stage, step: int) -> float:
    """Return the rate of step `step` (0..steps-1): a linear warm-up, then the stage's schedule."""
    warmup = max(1, round(stage.warmup_share * stage.steps))
    if step < warmup:
        return stage.learning_rate * (step + 1) / warmup
    if stage.schedule is Schedule.CONSTANT:
        return stage.learning_rate
    return stage.learning_rate * (stage.steps - step) / max(1, stage.steps - warmup)


def _train_stage(run: Run, stage: Stage, began: float) -> Iterable[Step]:
    curriculum = run.curriculum
    optimizer = _optimizer(run.model, stage, curriculum.betas)
    for step in range(stage.steps):
        rate = learning_rate(stage, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, nll = _loss(run, stage, step)
        if not torch.isfinite(loss):
            raise DivergedError(
                f"The loss is {loss.item()} at step {step + 1} of {stage.name}, expected a number. "
                f"Lower its learning rate of {stage.learning_rate}."
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), curriculum.clip_norm)
        optimizer.step()
        yield Step(stage.name, step + 1, loss.item(), nll, rate, time.monotonic() - began)


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
