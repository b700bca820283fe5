"""One optimizer step's forward and backward passes: its batch, shared among processes and cut into passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rim_edge.train.curriculum import Stage
from rim_edge.train.encode import Sample
from rim_edge.train.limits import packed_length
from rim_edge.train.losses import batch_size, readout_weights
from rim_edge.train.packing import pack
from rim_edge.train.run import Run


@dataclass(frozen=True)
class Taken:
    """What the passes of a step found."""

    loss: float
    """The weighted loss of the whole batch."""
    nll: tuple[float, ...]
    """Unweighted -log p by the readouts' place t, mean over the rows that have one."""
    tokens: int
    """Of the whole batch's packed rows, over all processes."""
    padding: int
    """What filled the rows up, beyond those."""


@dataclass(frozen=True)
class _Passed:
    """What one pass found."""

    loss: float
    sums: _Sums
    tokens: int
    padding: int


_Sums = dict[int, tuple[float, int]]
"""By the readouts' place: the sum of their -log p, and how many they are."""


def take(run: Run, module: torch.nn.Module, stage: Stage, step: int) -> Taken:
    """Draw the batch of step `step` and add the gradients of its loss to the model's."""
    examples = run.source.draw(run.curriculum.batch_size, stage.objective)
    mine = run.processes.share(examples)
    samples = [run.encoder.sample(example, stage, step / stage.steps) for example in mine]
    divisor = sum(run.processes.gather(batch_size(samples, stage.normalisation)))
    parts = _parts(samples, run)
    idle = run.processes.passes(len(parts)) - len(parts)
    found = []
    for number, part in enumerate(parts, start=1):
        with run.processes.backward(module, last=number == len(parts)):
            found.append(_pass(run, module, part, (stage, step), divisor))
    for _ in range(idle):
        _idle_pass(run, module, parts[0])
    every = [one for process in run.processes.gather(found) for one in process]
    return Taken(
        loss=sum(passed.loss for passed in every),
        nll=_means([passed.sums for passed in every]),
        tokens=sum(passed.tokens for passed in every),
        padding=sum(passed.padding for passed in every),
    )


def _pass(
    run: Run, module: torch.nn.Module, samples: Sequence[Sample], place: tuple[Stage, int], divisor: int
) -> _Passed:
    """One forward and backward pass; gradients are averaged over processes, so each counts as many times."""
    device = run.processes.device
    batch = pack(samples, run.encoder.contract.block, run.padding).to(device)
    weights = readout_weights(samples, *place).to(device)
    nll = module(batch, len(weights))
    loss = (weights * nll).sum() / divisor
    (loss * run.processes.count).backward()
    tokens = sum(packed_length(sample, len(run.encoder.contract.block)) for sample in samples)
    return _Passed(loss.item(), _by_place(nll.detach(), samples), tokens, batch.ids.numel() - tokens)


def _idle_pass(run: Run, module: torch.nn.Module, samples: Sequence[Sample]) -> None:
    """Go through the layers for nothing but the other processes' sake, which hold shares of them in theirs."""
    batch = pack(samples, run.encoder.contract.block, run.padding).to(run.processes.device)
    (0.0 * module(batch, sum(len(sample.readouts) for sample in samples)).sum()).backward()


def _parts(samples: Sequence[Sample], run: Run) -> list[Sequence[Sample]]:
    """Cut the samples into passes, by length so that little of them is padding."""
    size = run.resources.micro_batch
    if size is None or size >= len(samples):
        return [samples]
    block = len(run.encoder.contract.block)
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
