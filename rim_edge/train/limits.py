"""Examples that are too long are left out, counted by reason. Nothing is ever cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rim_edge.train.bounds import whole
from rim_edge.train.curriculum import Curriculum
from rim_edge.train.encode import ExampleEncoder, Sample
from rim_edge.train.examples import Example

_ANSWER_END = 2
"""Tokens behind an answer: the closing brace and the end of the turn."""


@dataclass(frozen=True)
class Limits:
    """How long an example may be."""

    tokens: int = 2048
    """Tokens of its packed row, in the longest of the stages; the memory of a pass grows with their square."""
    steps: int = 32
    """Written steps; each takes a block in stage 1 (the paper's data has 13 at most)."""

    def __post_init__(self) -> None:
        whole("limits", "tokens", self.tokens, 1)
        whole("limits", "steps", self.steps, 0)


@dataclass(frozen=True)
class Fitting:
    """What is left of some examples."""

    examples: tuple[Example, ...]
    """Those that fit, in order."""
    dropped: Mapping[str, int]
    """How many do not, by reason."""


def fitting(
    examples: Sequence[Example], encoder: ExampleEncoder, curriculum: Curriculum, limits: Limits, positions: int
) -> Fitting:
    """Leave out what is over the limits, or beyond the model's `positions`."""
    kept: list[Example] = []
    dropped: Counter[str] = Counter()
    for example in examples:
        if reason := _reason(example, encoder, curriculum, limits, positions):
            dropped[reason] += 1
        else:
            kept.append(example)
    return Fitting(tuple(kept), dict(dropped))


def packed_length(sample: Sample, block: int) -> int:
    """Return the tokens of a sample's packed row, with blocks of `block` tokens."""
    return len(sample.prompt) + sample.blocks * block + sum(len(readout.ids) for readout in sample.readouts)


def longest_possible(example: Example, encoder: ExampleEncoder) -> int:
    """Return a number of tokens that no stage's packed row exceeds, without tokenizing.

    A token of byte-level BPE has a byte at least, and NFC lengthens UTF-8 by a factor of 3 at most (UAX #15).
    """
    contract = encoder.contract
    readouts = max(contract.blocks, len(example.steps) + 1)
    frame = contract.fixed_tokens + _bytes(contract.question_open) + _bytes(contract.question_close)
    said = readouts * (len(contract.block) + len(contract.prefix) + _ANSWER_END + 3 * _bytes(example.answer))
    return frame + said + 3 * _bytes(example.question) + sum(3 * _bytes(step) + 1 for step in example.steps)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _reason(
    example: Example, encoder: ExampleEncoder, curriculum: Curriculum, limits: Limits, positions: int
) -> str | None:
    if len(example.steps) > limits.steps:
        return f"more than {limits.steps} steps"
    if longest_possible(example, encoder) <= min(limits.tokens, positions):
        return None
    block = len(encoder.contract.block)
    samples = [encoder.sample(example, stage) for stage in curriculum.stages]
    if max(packed_length(sample, block) for sample in samples) > limits.tokens:
        return f"more than {limits.tokens} tokens"
    last = max(len(s.prompt) + r.after * block + len(r.ids) for s in samples for r in s.readouts)
    return f"beyond the model's {positions} positions" if last > positions else None
