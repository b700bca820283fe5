"""Shapes that engines run: batches of similar length, and for GPUs a few padded shapes that repeat.

A shape that repeats is recorded once and replayed in one launch. Padding changes no answer: it comes after the
prompt, and rows are independent of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rim_runtime.engines.backend import Ints


def similar_lengths(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Return the prompts' indices in batches of up to `tokens` padded tokens, the shortest prompts first.

    A longer prompt is a batch of its own.
    """
    batches: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Lengths ascend, so this prompt is the longest of its batch so far.
        if batches and (len(batches[-1]) + 1) * lengths[number] <= tokens:
            batches[-1].append(number)
        else:
            batches.append([number])
    return batches


Feed = tuple[Ints, Ints, Ints]
"""question_ids, question_length and blocks of a batch."""
STEPS = ((256, 32), (512, 64), (1024, 128))
"""(most tokens, step): up to `most` tokens, lengths are multiples of `step`; beyond all, of LAST_STEP."""
LAST_STEP = 256
GPU_BATCH_TOKENS = 4096
"""Padded tokens of a batch. Not measured: enough to keep a GPU busy, and few enough for a small memory."""


@dataclass(frozen=True)
class Shape:
    """A padded shape of `question_ids`."""

    batch: int
    """Rows."""
    length: int
    """Tokens per row."""


def bucket_length(length: int, most: int) -> int:
    """Return the length that a question is padded to, at most `most`."""
    step = next((step for limit, step in STEPS if length <= limit), LAST_STEP)
    return min(-(-length // step) * step, most)


def bucket_batch(rows: int, most: int) -> int:
    """Return the number of rows that a batch is padded to: a power of two, at most `most`."""
    return min(1 << (rows - 1).bit_length(), most)


def fill(shape: Shape, feed: Feed, into: Feed) -> None:
    """Copy question_ids, question_length and blocks into larger arrays of this shape.

    The rows added are questions of one token without blocks.
    """
    ids, lengths, blocks = feed
    rows, length = ids.shape
    assert rows <= shape.batch and length <= shape.length
    wide_ids, wide_lengths, wide_blocks = into
    wide_ids.fill(0)
    wide_ids[:rows, :length] = ids
    wide_lengths[:rows], wide_lengths[rows:] = lengths, 1
    wide_blocks[:rows], wide_blocks[rows:] = blocks, 0


def padded(shape: Shape, feed: Feed) -> Feed:
    """Return new arrays of this shape that hold the feed."""
    into = (
        np.empty((shape.batch, shape.length), np.int64),
        np.empty(shape.batch, np.int64),
        np.empty(shape.batch, np.int64),
    )
    fill(shape, feed, into)
    return into


def one_token() -> Feed:
    """Return the shortest batch there is: one question of one token, without blocks. Engines warm up with it."""
    return np.zeros((1, 1), np.int64), np.ones(1, np.int64), np.zeros(1, np.int64)


def parts(feed: Feed, most: int) -> list[Feed]:
    """Cut a batch into parts of at most `most` rows."""
    ids, lengths, blocks = feed
    return [(ids[n : n + most], lengths[n : n + most], blocks[n : n + most]) for n in range(0, len(ids), most)]
