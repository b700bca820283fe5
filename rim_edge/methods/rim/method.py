"""RiM as a training method: a term is the -log p of a readout, its place the readout's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from rim_edge.data.rows import Example
from rim_edge.methods.method import Place, Term, utf8
from rim_edge.methods.rim.encode import ExampleEncoder, Sample, step_mark
from rim_edge.methods.rim.losses import batch_size, labelled, readout_nll, readout_weights, weighing
from rim_edge.methods.rim.packing import PackedBatch, pack, packed_length
from rim_edge.recipe.curriculum import Stage

_ANSWER_END = 2
"""Tokens after an answer: the closing brace and the end of the turn."""


class ReadoutNll(nn.Module):
    """Gives -log p of every readout of a packed batch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: PackedBatch) -> Tensor:
        """Return float32 [readouts]."""
        return readout_nll(self.model, batch)


@dataclass(frozen=True)
class Rim:
    """Readouts after memory blocks, packed into one masked pass."""

    encoder: ExampleEncoder
    """Encodes by the prompt contract, blocks included."""
    padding: int
    """The id that fills rows."""

    def sample(self, example: Example, stage: Stage, step: int = 0) -> Sample:
        """Encode an example's prompt and those of its readouts that weigh something at this step."""
        return weighing(self.encoder.sample(example, stage, step), stage, step)

    def length(self, sample: Sample) -> int:
        """Return the tokens of the packed row."""
        return packed_length(sample, self._block)

    def last_position(self, sample: Sample) -> int:
        """Return the positions up to the end of the longest readout."""
        ends = (readout.after * self._block + len(readout.ids) for readout in sample.readouts)
        return len(sample.prompt) + max(ends)

    def longest(self, example: Example) -> int:
        """Return a bound of the packed row of any stage.

        A token of byte-level BPE has a byte at least, and NFC lengthens UTF-8 by a factor of 3 at most (UAX #15).
        """
        contract = self.encoder.contract
        readouts = max(contract.blocks, len(example.steps) + 1)
        frame = contract.fixed_tokens + utf8(contract.question_open) + utf8(contract.question_close)
        said = readouts * (self._block + len(contract.prefix) + _ANSWER_END + 3 * utf8(example.answer))
        said += len(example.steps) * utf8(step_mark(len(example.steps)))
        steps, spans = example.steps, example.spans  # a text stage tells the spans instead of the steps
        told = max(sum(3 * utf8(step) + 1 for step in steps), sum(3 * utf8(span.text) for span in spans))
        return frame + said + 3 * utf8(example.question) + told

    def batch(self, samples: Sequence[Sample]) -> PackedBatch:
        """Return the packed rows."""
        return pack(samples, self.encoder.contract.block, self.padding)

    def scorer(self, model: Any) -> nn.Module:
        """Return the module that gives -log p of every readout."""
        return ReadoutNll(model)

    def places(self, samples: Sequence[Sample]) -> list[Place | None]:
        """Return each readout's place t."""
        return [(Term.NLL, readout.step) for sample in samples for readout in sample.readouts]

    def weights(self, samples: Sequence[Sample], stage: Stage, step: int) -> Tensor:
        """Return each readout's λ or α."""
        return readout_weights(samples, stage, step)

    def size(self, samples: Sequence[Sample], stage: Stage, step: int) -> float:
        """Return the weighted labelled tokens or the rows, as the stage's normalisation says."""
        return batch_size(samples, stage, step)

    def answer_nll(self, terms: Tensor, samples: Sequence[Sample]) -> tuple[float, int]:
        """Return the sum of -log p of the rows' last readouts, and their labelled tokens."""
        values = iter(terms.tolist())
        answers = [([next(values) for _ in sample.readouts][-1], sample.readouts[-1]) for sample in samples]
        return sum(nll for nll, _ in answers), sum(labelled(readout) for _, readout in answers)

    @property
    def _block(self) -> int:
        return len(self.encoder.contract.block)
