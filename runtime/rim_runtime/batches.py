"""Prompts of similar length put together, so that little padding is computed."""

from __future__ import annotations

from collections.abc import Sequence


def similar_lengths(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Return the prompts' numbers in batches of up to `tokens` padded tokens, the shortest prompts first.

    A prompt that is longer than that is a batch of its own.
    """
    batches: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Lengths rise, so this one is the longest of its batch so far.
        if batches and (len(batches[-1]) + 1) * lengths[number] <= tokens:
            batches[-1].append(number)
        else:
            batches.append([number])
    return batches
