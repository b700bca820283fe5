"""One optimizer step: what a run consists of, its batch, and the passes over that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rim_edge.data.prefetch import Pieces
from rim_edge.data.rows import Example
from rim_edge.data.sources import ExampleSource
from rim_edge.methods.method import Batch, Method, Place, Term, to_device
from rim_edge.methods.passes import Pass, StepBatch
from rim_edge.model.cpu import through_onednn
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.recipe import Arithmetic, MicroBatch, Prefetch, Resources, Scoring
from rim_edge.training.out_of_memory import is_out_of_memory
from rim_edge.training.processes import Processes

Waiting = Callable[[], AbstractContextManager[None]]
"""Gives a context for a block in which a device is waited for."""


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a training run consists of."""

    model: Any
    """A transformers causal language model in fp32; what requires gradients is trained in place."""
    method: Method[Any]
    """Makes batches of examples, and terms of a loss of those."""
    source: ExampleSource
    """Gives the examples."""
    curriculum: Curriculum
    """What is trained, and for how long."""
    resources: Resources = field(default_factory=Resources)
    """What the run may use."""
    seed: int = 0
    """Seed of dropout."""
    processes: Processes = field(default_factory=Processes)
    """The processes that train."""
    scoring: Scoring = field(default_factory=Scoring)
    """How it is scored while it goes on."""
    fitting: int | None = None
    """Examples of a pass that fit the memory, on paper, where the recipe leaves it open; None: unknown."""

    @property
    def micro_batch(self) -> int:
        """Examples of a run's first passes."""
        told, share = self.resources.micro_batch, -(-self.curriculum.batch_size // self.processes.count)
        return min(share, (told if isinstance(told, int) else self.fitting) or share)

    @property
    def prefetches(self) -> bool:
        """Whether the next step's batch is made while a step computes."""
        if self.resources.prefetch is Prefetch.AUTO:
            return self.processes.device.type != "cpu"
        return self.resources.prefetch is Prefetch.ON


class Scorer(torch.nn.Module):
    """Gives the terms of a batch's loss; the model's products go through oneDNN, in place."""

    def __init__(self, terms: torch.nn.Module, arithmetic: Arithmetic) -> None:
        """`terms` is a method's scorer."""
        super().__init__()
        through_onednn(terms)
        self.terms = terms
        self._bf16 = arithmetic is Arithmetic.BF16

    def forward(self, batch: Batch, device: str) -> Tensor:
        """Return float32 [terms]; `device` is torch's type of the batch's."""
        with torch.autocast(device, torch.bfloat16, enabled=self._bf16):
            return self.terms(batch)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class StepResult:
    """The result of a step's passes."""

    loss: float
    """The weighted loss of the whole batch."""
    nll: tuple[float | None, ...]
    """Unweighted -log p by place, mean over the rows that have one; None where none weighs anything any more."""
    answer_nll: float
    """Unweighted -log p a token of the answers: the last text that each row learns."""
    distances: tuple[float, ...]
    """Distances to a teacher's states, likewise."""
    tokens: int
    """Tokens of the whole batch's packed rows, over all processes."""
    padding: int
    """Padding of those rows, in tokens."""
    micro_batch: int
    """Examples of one pass, at most."""


@dataclass(frozen=True)
class _Passed:
    """The result of one pass."""

    loss: float
    sums: _Sums
    answers: tuple[float, int]
    tokens: int
    padding: int


_Sums = dict[Place, tuple[float, int]]
"""By place: the sum of the terms, and their number."""


def is_stopped(setup: TrainingSetup, stop: Callable[[], bool]) -> bool:
    """Whether any process is to stop. Every process must call this, and all get the same answer."""
    return any(setup.processes.gather(stop()))


def draw_step(setup: TrainingSetup, stage: Stage, step: int, micro_batch: int) -> StepBatch:
    """Draw and encode this process's share of the batch of step `step`; the model takes no part in it."""
    samples = [setup.method.sample(example, stage, step) for example in _draw(setup, stage)]
    return StepBatch(setup.method, stage, step, samples, micro_batch)


def step_in_pieces(setup: TrainingSetup, stage: Stage, step: int, micro_batch: int) -> Pieces[StepBatch]:
    """Draw the same batch, and make all its tensors, in short pieces. No process waits for another one in here.

    The tensors stay in main memory until their pass: what a GPU holds is the same as without.
    """
    samples = []
    for example in _draw(setup, stage):
        yield
        samples.append(setup.method.sample(example, stage, step))
    batch = StepBatch(setup.method, stage, step, samples, micro_batch)
    passes = []
    for one in batch.passes():
        passes.append(one.pinned() if setup.processes.device.type == "cuda" else one)
        yield
    return batch.with_made(passes)


def _draw(setup: TrainingSetup, stage: Stage) -> list[Example]:
    return setup.processes.share(setup.source.draw(setup.curriculum.batch_size, stage.objective))


def take_step(
    setup: TrainingSetup, module: torch.nn.Module, batch: StepBatch, waiting: Waiting = nullcontext
) -> StepResult:
    """Add the gradients of a batch's loss to the model's, which are zero.

    If the recipe leaves the size of a pass open and memory runs out, it is halved, again and again. `waiting` is
    entered while this waits for the device.
    """
    while setup.resources.micro_batch is MicroBatch.AUTO and batch.micro_batch > 1:
        try:
            return _passes(setup, module, batch, waiting)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # outside the handler, whose traceback would keep what the pass had made
        module.zero_grad()
        batch = batch.cut(batch.micro_batch // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return _passes(setup, module, batch, waiting)


def _passes(setup: TrainingSetup, module: torch.nn.Module, batch: StepBatch, waiting: Waiting) -> StepResult:
    divisor, count = sum(setup.processes.gather(batch.size)), batch.count
    idle = setup.processes.passes(count) - count
    found = []
    for number, one in enumerate(batch.passes(), start=1):
        with setup.processes.backward(module, last=number == count):
            found.append(_pass(setup, module, one, divisor, waiting))
    for _ in range(idle):
        _idle_pass(setup, module, next(batch.passes()))
    every = [one for process in setup.processes.gather(found) for one in process]
    return StepResult(
        loss=sum(passed.loss for passed in every),
        nll=_by_number(_means([passed.sums for passed in every], Term.NLL)),
        answer_nll=sum(passed.answers[0] for passed in every) / sum(passed.answers[1] for passed in every),
        distances=tuple(_means([passed.sums for passed in every], Term.DISTANCE).values()),
        tokens=sum(passed.tokens for passed in every),
        padding=sum(passed.padding for passed in every),
        micro_batch=batch.micro_batch,
    )


def _pass(setup: TrainingSetup, module: torch.nn.Module, made: Pass, divisor: float, waiting: Waiting) -> _Passed:
    """Make a forward and backward pass; the loss is scaled, because gradients are averaged over processes."""
    device, method, samples = setup.processes.device, setup.method, made.samples
    batch, weights = made.batch.to(device), to_device(made.weights, device)
    terms = module(batch, device.type)
    loss = (weights * terms).sum() / divisor
    (loss * setup.processes.count).backward()
    tokens = sum(method.length(sample) for sample in samples)
    with waiting():  # the first value that is asked for: a GPU still computes all of the above
        value = loss.item()
    values = terms.detach()
    return _Passed(
        loss=value,
        sums=_by_place(values, method.places(samples)),
        answers=method.answer_nll(values, samples),
        tokens=tokens,
        padding=batch.tokens - tokens,
    )


def _idle_pass(setup: TrainingSetup, module: torch.nn.Module, made: Pass) -> None:
    """Make an empty pass: the other processes need this one's shards of the layers in their passes."""
    device = setup.processes.device
    (0.0 * module(made.batch.to(device), device.type).sum()).backward()


def _by_place(terms: Tensor, places: Sequence[Place | None]) -> _Sums:
    sums: dict[Place, list[float]] = defaultdict(list)
    for place, value in zip(places, terms.tolist(), strict=True):
        if place is not None:
            sums[place].append(value)
    return {place: (sum(values), len(values)) for place, values in sums.items()}


def _means(parts: Sequence[_Sums], term: Term) -> dict[int, float]:
    """Return the means of one kind of terms, by number, in order."""
    totals: dict[int, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for part in parts:
        for (kind, number), (value, count) in part.items():
            if kind is term:
                totals[number] = (totals[number][0] + value, totals[number][1] + count)
    return {number: total / count for number, (total, count) in sorted(totals.items())}


def _by_number(means: Mapping[int, float]) -> tuple[float | None, ...]:
    """Return the values of the numbers from 1 to the largest, None where there is none."""
    return tuple(means.get(number) for number in range(1, max(means) + 1))
