"""The training loop: seeded, one stage after the other, each with a fresh optimizer and schedule.

Deterministic: the same run with the same seed, processes and threads gives the same weights, also when it is
resumed from a saved state: earlier examples are drawn again and discarded, and dropout is seeded by step.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from rim_edge.data.prefetch import Pieces, Prefetcher, Works
from rim_edge.errors import DivergedError, StoppedError
from rim_edge.methods.passes import StepBatch
from rim_edge.model.trainable import set_dropout
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.recipe import Keep
from rim_edge.recipe.switches import Schedule
from rim_edge.training.callbacks import Listener, Step
from rim_edge.training.out_of_memory import in_passes, report_out_of_memory
from rim_edge.training.processes import put_together, take_shares, unshard
from rim_edge.training.state import RECENT, RightAnswers, TrainingState, what_learns
from rim_edge.training.step import (
    Scorer,
    StepResult,
    TrainingSetup,
    draw_step,
    is_stopped,
    step_in_pieces,
    take_step,
)

_NOBODY = Listener()
Score = Callable[[Stage], RightAnswers]
"""Returns the right answers after a stage; none where it is not scored."""
Measure = Callable[[Stage, TrainingState], int | None]
"""Returns the right answers with all blocks, within a stage; None where it is not scored."""
Stop = Callable[[], bool]
"""Whether the run is to stop; asked after every step, in every process."""


@dataclass(frozen=True)
class _Run:
    setup: TrainingSetup
    module: torch.nn.Module
    listener: Listener
    measure: Measure
    stop: Stop
    began: float
    ahead: Prefetcher[StepBatch]


def train(
    setup: TrainingSetup,
    listener: Listener = _NOBODY,
    *,
    start: TrainingState | None = None,
    score: Score = lambda stage: RightAnswers(),
    measure: Measure = lambda stage, state: None,
    stop: Stop = lambda: False,
) -> TrainingState:
    """Train all stages in place, from the beginning or from a state whose weights the model has.

    `score` is called after every stage, `measure` within them as `setup.scoring` says, both in every process of a
    run. The listener saves a state every so many steps, after each stage, after it is scored, with the best score
    so far, and before the run stops. If layers are sharded, only the first process has a whole model afterwards.
    The model has the last weights, also where the best are kept. Returns the last state. Raises DivergedError,
    OutOfMemoryError where a step takes too much, and StoppedError.
    """
    state = start or TrainingState()
    _draw_again(setup, state)
    if setup.resources.recompute:
        setup.model.activation_checkpointing_enable({"use_reentrant": False})
    setup.model.train()
    module = setup.processes.prepare(Scorer(setup.method.scorer(setup.model), setup.resources.arithmetic))
    works = Works.THROUGHOUT if setup.processes.device.type == "cpu" else Works.WHILE_WAITING
    with Prefetcher[StepBatch](works) as ahead:
        run = _Run(setup, module, listener, measure, stop, time.monotonic(), ahead)
        for stage in setup.curriculum.stages[len(state.finished) :]:
            state, optimizer = _train_stage(run, state)
            if (right := score(stage)).counts:
                state = _kept(setup, state.scored(right), right.counts[-1])
                _save(setup, listener, state, optimizer)
    unshard(setup.model, keep=setup.processes.is_first)
    setup.model.eval()
    return state


def learning_rate(stage: Stage, step: int) -> float:
    """Return the rate of step `step` (0..steps-1): a linear warm-up, then the stage's schedule."""
    warmup = max(1, round(stage.warmup_share * stage.steps))
    if step < warmup:
        return stage.learning_rate * (step + 1) / warmup
    if stage.schedule is Schedule.CONSTANT:
        return stage.learning_rate
    return stage.learning_rate * max(1, stage.steps - step) / max(1, stage.steps - warmup)


def _train_stage(run: _Run, state: TrainingState) -> tuple[TrainingState, torch.optim.Optimizer]:
    """Train a stage from where the state stands in it, and return the state after it, and its optimizer."""
    started, index, pace = time.monotonic(), len(state.finished), Pace()
    setup, listener = run.setup, run.listener
    stage = setup.curriculum.stages[index]
    optimizer = _optimizer(setup.model, stage, setup.curriculum.betas)
    _restore(optimizer, state)
    set_dropout(setup.model, stage.dropout)
    micro_batch, saved = setup.micro_batch, time.monotonic()
    while _goes_on(setup, stage, state):
        rate, at = learning_rate(stage, state.steps), time.monotonic()
        batch = run.ahead.take() or draw_step(setup, stage, state.steps, micro_batch)
        _seed_dropout(setup, index, state.steps)
        optimizer.zero_grad()
        ahead = run.ahead.making(_next_batch(setup, stage, state, micro_batch))
        with report_out_of_memory(in_passes(setup.resources)), ahead:
            taken = take_step(setup, run.module, batch.cut(micro_batch), run.ahead.waiting)
            norm = _update(setup, optimizer, taken.loss, rate)
        micro_batch = taken.micro_batch
        state = state.after(taken.loss)
        pace.add(taken.tokens, time.monotonic() - at)
        listener.step(_step(setup, state, taken, norm, pace, time.monotonic() - run.began))
        state, is_best = _measured(run, stage, state)
        stops = is_stopped(setup, run.stop)
        if stops or is_best or _is_due(setup, state, saved) or not _goes_on(setup, stage, state):
            _save(setup, listener, state, optimizer)
            saved = time.monotonic()
        if stops:
            raise StoppedError(f"Stopped after step {state.done:,}.")
    return state.finish_stage(stage.name, time.monotonic() - started), optimizer


def _next_batch(
    setup: TrainingSetup, stage: Stage, state: TrainingState, micro_batch: int
) -> Pieces[StepBatch] | None:
    """Return what makes the batch of the step after this state's next one; None where it is not to be made yet.

    That is where this step may be the stage's last one, by its length, its loss or its score: sources draw for a
    stage's objective, and cannot take back what they have drawn.
    """
    after, scoring = state.steps + 1, setup.scoring
    may_be_scored_last = scoring.patience is not None and scoring.every is not None and after % scoring.every == 0
    if not setup.prefetches or after >= stage.steps or may_be_scored_last:
        return None
    return step_in_pieces(setup, stage, after, micro_batch)


def _measured(run: _Run, stage: Stage, state: TrainingState) -> tuple[TrainingState, bool]:
    """Score within a stage, where that is due; return the state with the score, and whether it is the best."""
    every = run.setup.scoring.every
    if every is None or state.steps % every or not state.goes_on(stage):  # after the last step it is scored anyway
        return state, False
    right = run.measure(stage, state)
    after = state if right is None else _kept(run.setup, state, right)
    return after, after.best is not None and after.best.done == after.done


def _kept(setup: TrainingSetup, state: TrainingState, right: int) -> TrainingState:
    """Return the state with a score that the best weights are chosen by: those of the last stage alone are."""
    stages = len(setup.curriculum.stages)
    is_last = len(state.finished) + bool(state.steps) == stages
    return state.measured(right) if setup.scoring.keep is Keep.BEST and is_last else state


def _goes_on(setup: TrainingSetup, stage: Stage, state: TrainingState) -> bool:
    """Whether the stage has steps left, and has not had so many scores without a better one that it ends."""
    patience, best = setup.scoring.patience, state.best
    has_waited = patience is not None and best is not None and best.since >= patience
    return state.goes_on(stage) and not has_waited


def _is_due(setup: TrainingSetup, state: TrainingState, saved: float) -> bool:
    """Whether a state is to be saved, by steps or by the first process's clock. Every process must call this."""
    minutes = (time.monotonic() - saved) / 60
    late = setup.processes.gather(minutes >= setup.resources.save_minutes)[0]
    return late or state.done % setup.resources.save_every == 0


def _draw_again(setup: TrainingSetup, state: TrainingState) -> None:
    """Draw the examples before this state again, and discard them."""
    drawn = [*(result.steps for result in state.finished), state.steps]
    for stage, steps in zip(setup.curriculum.stages, drawn, strict=False):
        for _ in range(steps):
            setup.source.draw(setup.curriculum.batch_size, stage.objective)


def _seed_dropout(setup: TrainingSetup, stage: int, step: int) -> None:
    """Make a step's dropout depend on nothing but the run's seed, the step and the process."""
    if setup.curriculum.stages[stage].dropout:
        torch.manual_seed(hash((setup.seed, stage, step, setup.processes.number)))


def _update(setup: TrainingSetup, optimizer: torch.optim.Optimizer, loss: float, rate: float) -> float:
    """Take the optimizer's step and return the gradients' norm before clipping.

    Raises DivergedError before any weight changes: clipping spreads one gradient that is not finite to all.
    """
    _require_finite("loss", loss, rate)
    norm = torch.nn.utils.clip_grad_norm_(setup.model.parameters(), setup.curriculum.clip_norm)
    whole = put_together({"norm": norm}, keep=True)["norm"].item()
    _require_finite("gradients' norm", whole, rate)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return whole


def _require_finite(name: str, value: float, rate: float) -> None:
    if not math.isfinite(value):
        raise DivergedError(
            f"The {name} is {value} at the learning rate {rate:g}, expected a finite number. Lower the rate."
        )


def _save(
    setup: TrainingSetup, listener: Listener, state: TrainingState, optimizer: torch.optim.Optimizer
) -> None:
    """Save this state. Its shards are put together, so every process must call this.

    A finished stage keeps its optimizer too, so that it can still be made longer.
    """
    keep, moments = setup.processes.is_first, optimizer.state_dict()["state"]
    whole = {number: put_together(values, keep=keep) for number, values in moments.items()}
    weights = {name: parameter.detach() for name, parameter in what_learns(setup.model).items()}
    listener.save(replace(state, optimizer=whole), put_together(weights, keep=keep))


def _restore(optimizer: torch.optim.Optimizer, state: TrainingState) -> None:
    """Give the optimizer its moments of this state, if the stage has begun."""
    if state.steps:
        held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        moments = {number: take_shares(values, held[number]) for number, values in state.optimizer.items()}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


def _step(
    setup: TrainingSetup, state: TrainingState, taken: StepResult, norm: float, pace: Pace, seconds: float
) -> Step:
    """Return the report of the step that led to this state."""
    stage = setup.curriculum.stages[len(state.finished)]
    return Step(
        stage=stage.name,
        step=state.steps,
        done=state.done,
        loss=taken.loss,
        recent_loss=state.loss,
        nll=taken.nll,
        answer_nll=taken.answer_nll,
        distances=taken.distances,
        grad_norm=norm,
        learning_rate=learning_rate(stage, state.steps - 1),
        examples=setup.curriculum.batch_size,
        tokens=taken.tokens,
        padding=taken.padding,
        micro_batch=taken.micro_batch,
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
        """Add a step."""
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
