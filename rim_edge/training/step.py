"""One optimizer step: what a run consists of, and the passes over a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rim_edge.data.sources import ExampleSource
from rim_edge.methods.rim.encode import ExampleEncoder, Sample
from rim_edge.methods.rim.losses import batch_size, readout_nll, readout_weights
from rim_edge.methods.rim.packing import PackedBatch, pack, packed_length
from rim_edge.model.cpu import through_onednn
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.recipe import Arithmetic, Resources
from rim_edge.training.processes import Processes


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a training run consists of."""

    model: Any
    """A transformers causal language model in fp32; what requires gradients is trained in place."""
    encoder: ExampleEncoder
    """Encodes examples as ids."""
    source: ExampleSource
    """Gives the examples."""
    curriculum: Curriculum
    """What is trained, and for how long."""
    padding: int
    """The id that fills rows."""
    resources: Resources = field(default_factory=Resources)
    """What the run may use."""
    seed: int = 0
    """Seed of dropout."""
    processes: Processes = field(default_factory=Processes)
    """The processes that train."""


class ReadoutNll(torch.nn.Module):
    """Gives -log p of every readout of a packed batch; the model's products go through oneDNN, in place."""

    def __init__(self, model: Any, arithmetic: Arithmetic) -> None:
        super().__init__()
        through_onednn(model)
        self.model = model
        self._bf16 = arithmetic is Arithmetic.BF16

    def forward(self, batch: PackedBatch, readouts: int) -> Tensor:
        """Return float32 [readouts]."""
        with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=self._bf16):
            return readout_nll(self.model, batch, readouts)


@dataclass(frozen=True)
class StepResult:
    """The result of a step's passes."""

    loss: float
    """The weighted loss of the whole batch."""
    nll: tuple[float, ...]
    """Unweighted -log p by the readouts' place t, mean over the rows that have one."""
    tokens: int
    """Tokens of the whole batch's packed rows, over all processes."""
    padding: int
    """Padding of those rows, in tokens."""


@dataclass(frozen=True)
class _Passed:
    """The result of one pass."""

    loss: float
    sums: _Sums
    tokens: int
    padding: int


_Sums = dict[int, tuple[float, int]]
"""By the readouts' place: the sum of their -log p, and their number."""


def is_stopped(setup: TrainingSetup, stop: Callable[[], bool]) -> bool:
    """Whether any process is to stop. Every process must call this, and all get the same answer."""
    return any(setup.processes.gather(stop()))


def take_step(setup: TrainingSetup, module: torch.nn.Module, stage: Stage, step: int) -> StepResult:
    """Draw the batch of step `step` and add the gradients of its loss to the model's."""
    examples = setup.source.draw(setup.curriculum.batch_size, stage.objective)
    mine = setup.processes.share(examples)
    samples = [setup.encoder.sample(example, stage, step / stage.steps) for example in mine]
    divisor = sum(setup.processes.gather(batch_size(samples, stage.normalisation)))
    parts = _parts(samples, setup)
    idle = setup.processes.passes(len(parts)) - len(parts)
    found = []
    for number, part in enumerate(parts, start=1):
        with setup.processes.backward(module, last=number == len(parts)):
            found.append(_pass(setup, module, part, (stage, step), divisor))
    for _ in range(idle):
        _idle_pass(setup, module, parts[0])
    every = [one for process in setup.processes.gather(found) for one in process]
    return StepResult(
        loss=sum(passed.loss for passed in every),
        nll=_means([passed.sums for passed in every]),
        tokens=sum(passed.tokens for passed in every),
        padding=sum(passed.padding for passed in every),
    )


def _pass(
    setup: TrainingSetup,
    module: torch.nn.Module,
    samples: Sequence[Sample],
    place: tuple[Stage, int],
    divisor: int,
) -> _Passed:
    """Make a forward and backward pass; the loss is scaled, because gradients are averaged over processes."""
    device = setup.processes.device
    batch = pack(samples, setup.encoder.contract.block, setup.padding).to(device)
    weights = readout_weights(samples, *place).to(device)
    nll = module(batch, len(weights))
    loss = (weights * nll).sum() / divisor
    (loss * setup.processes.count).backward()
    tokens = sum(packed_length(sample, len(setup.encoder.contract.block)) for sample in samples)
    return _Passed(loss.item(), _by_place(nll.detach(), samples), tokens, batch.ids.numel() - tokens)


def _idle_pass(setup: TrainingSetup, module: torch.nn.Module, samples: Sequence[Sample]) -> None:
    """Make an empty pass: the other processes need this one's shards of the layers in their passes."""
    batch = pack(samples, setup.encoder.contract.block, setup.padding).to(setup.processes.device)
    (0.0 * module(batch, sum(len(sample.readouts) for sample in samples)).sum()).backward()


def _parts(samples: Sequence[Sample], setup: TrainingSetup) -> list[Sequence[Sample]]:
    """Split the samples into passes, by length so that there is little padding."""
    size = setup.resources.micro_batch
    if size is None or size >= len(samples):
        return [samples]
    block = len(setup.encoder.contract.block)
    ordered = sorted(samples, key=lambda sample: packed_length(sample, block))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _by_place(nll: Tensor, samples: Sequence[Sample]) -> _Sums:
    places = [readout.step for sample in samples for readout in sample.readouts]
    sums: dict[int, list[float]] = defaultdict(list)
    for place, value in zip(places, nll.tolist(), strict=True):
        sums[place].append(value)
    return {place: (sum(values), len(values)) for place, values in sums.items()}


def _means(parts: Sequence[_Sums]) -> tuple[float, ...]:
    totals: dict[int, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for part in parts:
        for place, (value, count) in part.items():
            totals[place] = (totals[place][0] + value, totals[place][1] + count)
    return tuple(totals[place][0] / totals[place][1] for place in sorted(totals))
