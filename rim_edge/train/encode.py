"""From an example to token ids: the prompt, and what each stage reads out behind how many blocks.

The prompt's ids come from the same contract as at inference. Prefix and answer are encoded separately and
joined as ids, because BPE would merge `{` with the answer's first characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rim_runtime.prompt import PromptContract

from rim_edge.train.curriculum import Alignment, Objective, Stage
from rim_edge.train.examples import Example, Span


@dataclass(frozen=True)
class Readout:
    """Text that is scored behind a block."""

    after: int
    """How many blocks it sees, 0..; it starts right behind the last of them."""
    ids: tuple[int, ...]
    """Its tokens."""
    labelled: tuple[bool, ...]
    """Which of them are scored; each is predicted one position earlier in the unpacked order."""
    step: int
    """Its place t among the example's readouts, from 1; loss weights depend on it."""


@dataclass(frozen=True)
class Sample:
    """One encoded example, ready to pack."""

    prompt: tuple[int, ...]
    """x: head, question segment, tail."""
    blocks: int
    """Memory blocks behind the prompt."""
    readouts: tuple[Readout, ...]
    """What is scored."""


class ExampleEncoder:
    """Encodes examples for a stage by the prompt contract of a tokenizer."""

    def __init__(self, tokenizer: Any, contract: PromptContract) -> None:
        self.contract = contract
        self._tokenizer = tokenizer
        self._end = (*self.encode("}"), int(tokenizer.eos_token_id))

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text that stands alone; added tokens in it stay text."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def prompt(self, question: str) -> tuple[int, ...]:
        """Return x: everything in front of the blocks."""
        contract = self.contract
        return contract.head + self.encode(contract.segment(question)) + contract.tail

    def sample(self, example: Example, stage: Stage) -> Sample:
        """Encode an example for a stage."""
        readouts = self._readouts(example, stage)
        blocks = max(readout.after for readout in readouts)
        return Sample(self.prompt(example.question), blocks, readouts)

    def _readouts(self, example: Example, stage: Stage) -> tuple[Readout, ...]:
        match stage.objective:
            case Objective.TEXT:
                return (self._text(example),)
            case Objective.STEPS:
                return self._steps(example, stage.alignment)
            case Objective.ANSWER:
                blocks = range(1, self.contract.blocks + 1)
                return tuple(self._answer(example.answer, after) for after in blocks)

    def _text(self, example: Example) -> Readout:
        spans = example.spans or tuple(Span(f"{step}\n", True) for step in example.steps)
        pieces = [(self.encode(span.text), span.labelled) for span in spans]
        answer = self._answer(example.answer, 0)
        ids = [token for piece, _ in pieces for token in piece]
        labelled = [flag for piece, flag in pieces for _ in piece]
        return Readout(0, (*ids, *answer.ids), (*labelled, *answer.labelled), 1)

    def _steps(self, example: Example, alignment: Alignment) -> tuple[Readout, ...]:
        """One readout a block. Without steps there is one block, which says the answer."""
        told = example.steps[1:] if alignment is Alignment.NEXT_STEP else example.steps
        encoded = [self.encode(step) for step in told]
        steps = [_whole(ids, after) for after, ids in enumerate(encoded, start=1)]
        return (*steps, self._answer(example.answer, len(steps) + 1))

    def _answer(self, answer: str, after: int) -> Readout:
        prefix, said = self.contract.prefix, (*self.encode(answer), *self._end)
        labelled = (*len(prefix) * (False,), *len(said) * (True,))
        return Readout(after, prefix + said, labelled, max(after, 1))


def _whole(ids: Sequence[int], after: int) -> Readout:
    return Readout(after, tuple(ids), len(ids) * (True,), after)
