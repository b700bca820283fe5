"""The training loop: seeded, one stage after the other, each with a fresh optimizer and schedule.

Deterministic: the same run with the same seed, processes and threads gives the same weights, also when it is
resumed from a saved moment: the examples up to there are drawn again and left, and dropout is seeded by step.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rim_edge.errors import DivergedError
from rim_edge.model.cpu import keep_freed_memory
from rim_edge.model.trainable import set_dropout
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.switches import Schedule
from rim_edge.training.out_of_memory import report_out_of_memory
from rim_edge.training.processes import put_together, take_shares, unshard
from rim_edge.training.state import RECENT, StageResult, TrainingState, what_learns
from rim_edge.training.step import ReadoutNll, StepResult, TrainingSetup, take_step


@dataclass(frozen=True)
class Step:
    """What one optimizer step did; handed to the caller's `report`."""

    stage: str
    """The stage's name."""
    step: int
    """Steps done in this stage, from 1."""
    done: int
    """Steps done in all stages."""
    loss: float
    """The weighted loss, divided as the stage's normalisation says."""
    recent_loss: float
    """Its mean over the stage's last steps, 20 at most."""
    nll: tuple[float, ...]
    """Unweighted -log p by the readouts' place t, mean over the rows that have one."""
    learning_rate: float
    """The rate of this step."""
    examples: int
    """Of the whole batch, over all processes."""
    tokens: int
    """Of its packed rows."""
    padding: int
    """What filled those rows up, beyond the tokens."""
    tokens_per_second: float
    """Tokens, without padding, over the time of the last steps, 20 at most; all processes together."""
    step_seconds: float
    """Mean time of those steps."""
    seconds: float
    """Since this process began to train."""


@dataclass(frozen=True)
class Watch:
    """What is told while a run goes on."""

    report: Callable[[Step], None] = lambda step: None
    """Called after every optimizer step."""
    save: Callable[[TrainingState, Mapping[str, Tensor]], None] = lambda state, weights: None
    """Called every `resources.save_every` steps, with what `train` can start from and the weights that learn; both
    are empty in all processes but the first where layers are shared out."""
    behind: Callable[[TrainingState], TrainingState] = lambda state: state
    """Called behind every stage, in every process of a run; `train` goes on with what it returns."""


def train(run: TrainingSetup, watch: Watch, start: TrainingState | None = None) -> tuple[StageResult, ...]:
    """Train all stages in place, from the beginning or from a moment whose weights the model has.

    Where layers are shared out, only the first process has a whole model behind it. Raises
    DivergedError and ShortMemoryError.
    """
    keep_freed_memory()
    state = start or TrainingState()
    _draw_again(run, state)
    if run.resources.recompute:
        run.model.activation_checkpointing_enable({"use_reentrant": False})
    run.model.train()
    module = run.processes.prepare(ReadoutNll(run.model, run.resources.arithmetic))
    began = time.monotonic()
    with report_out_of_memory(run.resources):
        while len(state.finished) < len(run.curriculum.stages):
            state = watch.behind(_train_stage(run, module, state, watch, began))
    unshard(run.model, keep=run.processes.is_first)
    run.model.eval()
    return state.finished


def learning_rate(stage: Stage, step: int) -> float:
    """Return the rate of step `step` (0..steps-1): a linear warm-up, then the stage's schedule."""
    warmup = max(1, round(stage.warmup_share * stage.steps))
    if step < warmup:
        return stage.learning_rate * (step + 1) / warmup
    if stage.schedule is Schedule.CONSTANT:
        return stage.learning_rate
    return stage.learning_rate * max(1, stage.steps - step) / max(1, stage.steps - warmup)


def _train_stage(
    run: TrainingSetup, module: torch.nn.Module, state: TrainingState, watch: Watch, began: float
) -> TrainingState:
    """Train a stage from where `moment` stands in it, and return the moment behind it."""
    started, index, pace = time.monotonic(), len(state.finished), Pace()
    stage = run.curriculum.stages[index]
    optimizer = _optimizer(run.model, stage, run.curriculum.betas)
    _restore(optimizer, state)
    set_dropout(run.model, stage.dropout)
    while _goes_on(stage, state):
        rate, at = learning_rate(stage, state.steps), time.monotonic()
        _seed_dropout(run, index, state.steps)
        optimizer.zero_grad()
        taken = take_step(run, module, stage, state.steps)
        _update(run, optimizer, taken.loss, rate)
        state = state.after(taken.loss)
        pace.add(taken.tokens, time.monotonic() - at)
        watch.report(_step(run, state, taken, pace, time.monotonic() - began))
        if state.done % run.resources.save_every == 0:
            _save(run, watch, state, optimizer)
    return state.behind(stage.name, time.monotonic() - started)


def _goes_on(stage: Stage, state: TrainingState) -> bool:
    """Whether the stage has another step: one of its own, or one of its extension."""
    extension = stage.extension
    if state.steps < stage.steps or extension is None:
        return state.steps < stage.steps
    return state.steps < extension.at_most and state.loss >= extension.loss


def _draw_again(run: TrainingSetup, state: TrainingState) -> None:
    """Take from the source what was drawn before this moment."""
    drawn = [*(result.steps for result in state.finished), state.steps]
    for stage, steps in zip(run.curriculum.stages, drawn, strict=False):
        for _ in range(steps):
            run.source.draw(run.curriculum.batch_size, stage.objective)


def _seed_dropout(run: TrainingSetup, stage: int, step: int) -> None:
    """Make a step's dropout depend on nothing but the run's seed, the step and the process."""
    if run.curriculum.stages[stage].dropout:
        torch.manual_seed(hash((run.seed, stage, step, run.processes.number)))


def _update(run: TrainingSetup, optimizer: torch.optim.Optimizer, loss: float, rate: float) -> None:
    if not math.isfinite(loss):
        raise DivergedError(f"The loss is {loss} at the learning rate {rate}, expected a number. Lower the rate.")
    for group in optimizer.param_groups:
        group["lr"] = rate
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.curriculum.clip_norm)
    optimizer.step()


def _save(run: TrainingSetup, watch: Watch, state: TrainingState, optimizer: torch.optim.Optimizer) -> None:
    """Hand out the state after this step; shares of it are put together, so every process has to call this."""
    keep, moments = run.processes.is_first, optimizer.state_dict()["state"]
    whole = {number: put_together(values, keep=keep) for number, values in moments.items()}
    weights = {name: parameter.detach() for name, parameter in what_learns(run.model).items()}
    watch.save(replace(state, optimizer=whole), put_together(weights, keep=keep))


def _restore(optimizer: torch.optim.Optimizer, state: TrainingState) -> None:
    """Give the optimizer its moments of this state, if there are some."""
    if state.optimizer:
        held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        moments = {number: take_shares(values, held[number]) for number, values in state.optimizer.items()}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


def _step(run: TrainingSetup, state: TrainingState, taken: StepResult, pace: Pace, seconds: float) -> Step:
    """Return what the step behind which `moment` stands has done."""
    stage = run.curriculum.stages[len(state.finished)]
    return Step(
        stage=stage.name,
        step=state.steps,
        done=state.done,
        loss=taken.loss,
        recent_loss=state.loss,
        nll=taken.nll,
        learning_rate=learning_rate(stage, state.steps - 1),
        examples=run.curriculum.batch_size,
        tokens=taken.tokens,
        padding=taken.padding,
        tokens_per_second=pace.tokens_per_second,
        step_seconds=pace.step_seconds,
        seconds=seconds,
    )


def _optimizer(model: torch.nn.Module, stage: Stage, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Return a fresh AdamW; norms and other vectors do not decay."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.learning_rate, betas=betas)


class Pace:
    """The last steps' tokens and times, 20 at most."""

    def __init__(self) -> None:
        self._tokens: deque[int] = deque(maxlen=RECENT)
        self._seconds: deque[float] = deque(maxlen=RECENT)

    def add(self, tokens: int, seconds: float) -> None:
        """Take in one more step."""
        self._tokens.append(tokens)
        self._seconds.append(seconds)

    @property
    def step_seconds(self) -> float:
        """Mean time of a step; there must be one."""
        return sum(self._seconds) / len(self._seconds)

    @property
    def tokens_per_second(self) -> float:
        """Tokens of these steps over their time."""
        return sum(self._tokens) / max(sum(self._seconds), 1e-9)
