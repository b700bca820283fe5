"""Packing: one masked forward pass that scores every readout of a batch.

A row is `[x][m_1..m_K][readout_1..readout_R][padding]`. Token i of a readout after k blocks stands at
position `n + B·k + i` (n = len(x), B = len(block)) and sees x, the blocks up to k and its own text; blocks and x
see no readout. So its logits are those of the unpacked causal run `x + k blocks + readout`. Where readouts see
blocks alone (`Visibility.BLOCKS`), x is hidden from them in both. A readout's last token is left out, because it
predicts nothing; a readout of one token is predicted in the trunk and has none in the row.

| tensor     | type, shape         | meaning                                                          |
| ---------- | ------------------- | ---------------------------------------------------------------- |
| ids        | int64 [rows, width] | token ids                                                        |
| positions  | int64 [rows, width] | position ids                                                     |
| mask       | bool [rows, 1, w, w]| which key (last axis) a query may see; padding sees itself only  |
| predictors | int64 [labels]      | flat index (row · width + column) where a label is predicted     |
| targets    | int64 [labels]      | the token to predict there                                       |
| readout    | int64 [labels]      | which readout of the batch the label belongs to                  |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rim_edge.methods.method import to_device
from rim_edge.methods.rim.encode import Readout, Sample
from rim_edge.recipe.switches import Visibility

_TRUNK, _PADDING = 0, -1
WIDTH_STEP = 16
"""Widths are multiples of this. If nearly every batch has its own shape, free memory is fragmented, presumably by
what oneDNN keeps for each: after some thousand steps a CPU spent two fifths of its time looking for free memory
(bench/README.md). GPUs' matrix units need multiples of 8 or 16 anyway."""


@dataclass(frozen=True)
class PackedBatch:
    """The tensors of the table above."""

    ids: Tensor
    """int64 [rows, width]."""
    positions: Tensor
    """int64 [rows, width]."""
    mask: Tensor
    """bool [rows, 1, width, width]."""
    predictors: Tensor
    """int64 [labels]."""
    targets: Tensor
    """int64 [labels]."""
    readout: Tensor
    """int64 [labels], 0..readouts-1, in the order of rows and of each row's readouts."""
    readouts: int
    """Readouts of all rows."""

    @property
    def tokens(self) -> int:
        """Tokens of its rows, padding included."""
        return self.ids.numel()

    def to(self, device: torch.device) -> PackedBatch:
        """Return the same batch on a device."""
        return self._each(lambda tensor: to_device(tensor, device))

    def pinned(self) -> PackedBatch:
        """Return the same batch in page-locked memory."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> PackedBatch:
        tensors = (self.ids, self.positions, self.mask, self.predictors, self.targets, self.readout)
        ids, positions, mask, predictors, targets, readout = map(change, tensors)
        return PackedBatch(ids, positions, mask, predictors, targets, readout, self.readouts)


@dataclass
class _Row:
    """One row under construction: parallel lists, one entry per token."""

    ids: list[int]
    positions: list[int]
    owner: list[int]
    """0 for x and blocks, r for readout r, -1 for padding."""
    horizon: list[int]
    """The first trunk position that the token may no longer see."""
    floor: list[int]
    """The first trunk position that it may see."""


def pack(samples: Sequence[Sample], block: Sequence[int], padding: int) -> PackedBatch:
    """Pack samples into a batch, right-padded to the longest row, rounded up to a multiple of WIDTH_STEP."""
    rows = [_row(sample, block) for sample in samples]
    width = -(-max(len(row.ids) for row in rows) // WIDTH_STEP) * WIDTH_STEP
    ids = _padded([row.ids for row in rows], width, padding)
    positions = _padded([row.positions for row in rows], width, 0)
    owner = _padded([row.owner for row in rows], width, _PADDING)
    horizon = _padded([row.horizon for row in rows], width, 0)
    floor = _padded([row.floor for row in rows], width, 0)
    labels = _labels(samples, len(block), width)
    readouts = sum(len(sample.readouts) for sample in samples)
    return PackedBatch(ids, positions, attention_mask(owner, positions, horizon, floor), *labels, readouts)


def attention_mask(owner: Tensor, positions: Tensor, horizon: Tensor, floor: Tensor) -> Tensor:
    """Return the mask bool [rows, 1, width, width] from four int64 [rows, width] tensors.

    A query sees trunk keys from its floor up to before its horizon, and earlier keys of its own readout.
    """
    query, key = owner[:, :, None], owner[:, None, :]
    place = positions[:, None, :]
    trunk = (key == _TRUNK) & (place >= floor[:, :, None]) & (place < horizon[:, :, None])
    own = (key == query) & (query > _TRUNK) & (positions[:, None, :] <= positions[:, :, None])
    itself = torch.eye(owner.shape[1], dtype=torch.bool)
    return (trunk | own | itself)[:, None]


def _row(sample: Sample, block: Sequence[int]) -> _Row:
    trunk = [*sample.prompt, *sample.blocks * list(block)]
    length = len(trunk)
    row = _Row(trunk, list(range(length)), length * [_TRUNK], list(range(1, length + 1)), length * [0])
    hidden = len(sample.prompt) if sample.visibility is Visibility.BLOCKS else 0
    for number, readout in enumerate(sample.readouts, start=1):
        start = _start(sample, readout, len(block))
        told = list(readout.ids[:-1])
        row.ids = row.ids + told
        row.positions += range(start, start + len(told))
        row.owner += len(told) * [number]
        row.horizon += len(told) * [start]
        row.floor += len(told) * [hidden if readout.after else 0]  # without blocks there is only the question
    return row


def _start(sample: Sample, readout: Readout, block_length: int) -> int:
    return len(sample.prompt) + block_length * readout.after


def _labels(samples: Sequence[Sample], block_length: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return predictors, targets, readouts; a first token is predicted in the trunk, others one token earlier."""
    predictors, targets, owners = [], [], []
    number = 0
    for index, sample in enumerate(samples):
        column = len(sample.prompt) + sample.blocks * block_length
        for readout in sample.readouts:
            last_seen = _start(sample, readout, block_length) - 1
            for offset, (token, labelled) in enumerate(zip(readout.ids, readout.labelled, strict=True)):
                if labelled:
                    place = column + offset - 1 if offset else last_seen
                    predictors.append(index * width + place)
                    targets.append(token)
                    owners.append(number)
            column += len(readout.ids) - 1
            number += 1
    return _integers(predictors), _integers(targets), _integers(owners)


def _padded(rows: Sequence[Sequence[int]], width: int, value: int) -> Tensor:
    return torch.tensor([[*row, *(width - len(row)) * [value]] for row in rows])


def _integers(values: Sequence[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def packed_length(sample: Sample, block: int) -> int:
    """Return the tokens of a sample's packed row, with blocks of `block` tokens."""
    return len(sample.prompt) + sample.blocks * block + sum(len(readout.ids) - 1 for readout in sample.readouts)
