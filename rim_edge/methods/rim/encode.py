"""Encode an example as token ids: the prompt, and the readouts of a stage with their blocks.

Prefix and answer are encoded separately and joined as ids, because BPE would merge `{` with the answer's first
characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rim_runtime.prompt.contract import PromptContract
from rim_runtime.prompt.options import offered_letters

from rim_edge.data.rows import Example, Span
from rim_edge.methods.encoder import TextEncoder
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.switches import Alignment, Fading, Objective, StepEnd, Visibility


@dataclass(frozen=True)
class Readout:
    """Text that is scored after a block."""

    after: int
    """How many blocks it sees, 0..; it starts right after the last of them."""
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
    """Memory blocks after the prompt."""
    readouts: tuple[Readout, ...]
    """What is scored."""
    visibility: Visibility = Visibility.QUESTION
    """What the readouts may attend to."""
    choices: bool = False
    """Whether the question offers options."""
    omitted: int = 0
    """Readouts that were left out because they weigh nothing; the weights of the others count them."""

    @property
    def count(self) -> int:
        """The example's readouts, T or K; those left out too."""
        return len(self.readouts) + self.omitted


class ExampleEncoder(TextEncoder):
    """Encodes examples for a stage."""

    def __init__(self, tokenizer: Any, contract: PromptContract) -> None:
        super().__init__(tokenizer, contract)
        self._end = (*self.encode("}"), self.end_of_turn)
        self._step_end: Mapping[StepEnd, tuple[int, ...]] = {
            StepEnd.NONE: (),
            StepEnd.NEWLINE: tuple(self.encode("\n")),
            StepEnd.TURN: (self.end_of_turn,),
        }

    def sample(self, example: Example, stage: Stage, step: int = 0) -> Sample:
        """Encode an example for step `step` (0..stage.steps-1) of a stage, with all its readouts."""
        readouts = self._readouts(example, stage, step / stage.steps if step else 0.0)
        blocks = max(readout.after for readout in readouts)
        choices = bool(offered_letters(example.question))
        return Sample(self.prompt(example.question), blocks, readouts, stage.visibility, choices)

    def _readouts(self, example: Example, stage: Stage, progress: float) -> tuple[Readout, ...]:
        match stage.objective:
            case Objective.TEXT:
                return (self._text(example.spans or _written(example.steps), example.answer),)
            case Objective.STEPS:
                return self._steps(example, stage)
            case Objective.ANSWER:
                first = self._answer(example.answer, 1)
                blocks = range(1, self.contract.blocks + 1)
                return tuple(replace(first, after=after, step=after) for after in blocks)
            case Objective.DIRECT:
                return (self._answer(example.answer, 0),)
            case Objective.FADING | Objective.FADING_BLOCKS:
                gone = removed_steps(len(example.steps), progress, stage.fading)
                left = self._text(_written(example.steps[gone:]), example.answer)
                behind = self.contract.blocks if stage.objective is Objective.FADING_BLOCKS else 0
                return (replace(left, after=behind),)
            case Objective.MARKED_STEPS:
                return tuple(self._marked(readout) for readout in self._steps(example, stage))
            case Objective.CHAIN:
                chain = self._text(_written(example.steps), example.answer)
                # a model that writes its steps is not given the prefix: it has to write it too
                return (replace(chain, labelled=len(chain.ids) * (True,)),)
            case Objective.LATENT:
                raise ValueError("latent steps are QThink's (methods/qthink)")

    def _text(self, spans: Sequence[Span], said: str) -> Readout:
        pieces = [(self.encode(span.text), span.labelled) for span in spans]
        answer = self._answer(said, 0)
        ids = [token for piece, _ in pieces for token in piece]
        labelled = [flag for piece, flag in pieces for _ in piece]
        return Readout(0, (*ids, *answer.ids), (*labelled, *answer.labelled), 1)

    def _steps(self, example: Example, stage: Stage) -> tuple[Readout, ...]:
        """Return one readout per block. Without steps there is one block, which says the answer."""
        told = example.steps[1:] if stage.alignment is Alignment.NEXT_STEP else example.steps
        encoded = [(*self.encode(step), *self._step_end[stage.step_end]) for step in told]
        steps = [_whole(ids, after) for after, ids in enumerate(encoded, start=1)]
        return (*steps, self._answer(example.answer, len(steps) + 1))

    def _marked(self, readout: Readout) -> Readout:
        """Return a readout without blocks: before a step its number, before the answer its prefix alone."""
        if not readout.labelled[0]:  # the answer, whose prefix is given
            return replace(readout, after=0)
        mark = self.encode(step_mark(readout.step))
        return Readout(0, (*mark, *readout.ids), (*len(mark) * (False,), *readout.labelled), readout.step)

    def _answer(self, answer: str, after: int) -> Readout:
        prefix, said = self.contract.prefix, (*self.encode(answer), *self._end)
        labelled = (*len(prefix) * (False,), *len(said) * (True,))
        return Readout(after, prefix + said, labelled, max(after, 1))


def _whole(ids: Sequence[int], after: int) -> Readout:
    return Readout(after, tuple(ids), len(ids) * (True,), after)


def step_mark(number: int) -> str:
    """Return what stands before step `number`, from 1, where no block says which one it is."""
    return f"Step {number}: "


def removed_steps(count: int, progress: float, fading: Fading = Fading.ONE_BY_ONE) -> int:
    """Return how many of `count` written steps are removed when `progress` (0..1) of the stage is done."""
    if fading is Fading.ONE_BY_ONE:
        return min(int(progress * (count + 1)), count)
    parts = count.bit_length() + 1
    return count - (count >> min(int(progress * parts), parts - 1))


def _written(steps: Sequence[str]) -> tuple[Span, ...]:
    return tuple(Span(f"{step}\n", True) for step in steps)
