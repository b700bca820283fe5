"""QThink as a training method: -log p of a text and distances to a teacher are its terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rim_edge.data.rows import Example
from rim_edge.methods.encoder import TextEncoder
from rim_edge.methods.method import Place, Term, utf8
from rim_edge.methods.qthink.samples import (
    LatentBatch,
    LatentSample,
    batch_of,
    latent_prompt,
    latent_text,
    solution,
)
from rim_edge.methods.qthink.teachers import NO_TEACHERS, Teachers
from rim_edge.methods.qthink.terms import LatentTerms
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.latent import LatentTraining
from rim_edge.recipe.switches import Normalisation


@dataclass(frozen=True)
class QThink:
    """Latent steps before a text."""

    encoder: TextEncoder
    """Encodes by the latent prompt contract."""
    latent: LatentTraining
    """What is trained."""
    width: int
    """The model's channels."""
    padding: int
    """The id that fills rows."""
    teachers: Teachers = NO_TEACHERS
    """States of rollouts, by question."""

    def sample(self, example: Example, stage: Stage, step: int = 0) -> LatentSample:
        """Encode an example's prompt and text, and find its teacher."""
        del stage, step
        prompt = latent_prompt(self.encoder, example.question, self.latent.instruction)
        text = latent_text(self.encoder, example, self.latent)
        return LatentSample(prompt, text, self.teachers.of(example.question))

    def length(self, sample: LatentSample) -> int:
        """Return the tokens of prompt and text, and the latent steps between them."""
        return len(sample.prompt) + self.latent.steps + len(sample.text)

    def last_position(self, sample: LatentSample) -> int:
        """Return the positions of all of it."""
        return self.length(sample)

    def longest(self, example: Example) -> int:
        """Return a bound of the row, as Rim.longest does."""
        contract = self.encoder.contract
        frame = contract.fixed_tokens + utf8(contract.question_open) + utf8(contract.question_close)
        asked = 3 * utf8(self.latent.instruction + example.question)
        written = min(self.latent.target_tokens, 3 * utf8(solution(example, self.latent)) + 1)
        return frame + asked + self.latent.steps + written

    def batch(self, samples: Sequence[LatentSample]) -> LatentBatch:
        """Return the samples' tensors."""
        return batch_of(samples, self.latent.steps, self.width, self.padding)

    def scorer(self, model: Any) -> nn.Module:
        """Return the module that gives 1 + K terms a row."""
        return LatentTerms(model, self.latent.steps, self.latent.match)

    def places(self, samples: Sequence[LatentSample]) -> list[Place | None]:
        """Return each term's place: the text's, then the latent steps' that have a teacher."""
        found: list[Place | None] = []
        for sample in samples:
            found.append((Term.NLL, 1))
            found += [(Term.DISTANCE, step) if self._is_taught(sample, step) else None for step in self._numbers]
        return found

    def weights(self, samples: Sequence[LatentSample], stage: Stage, step: int) -> Tensor:
        """Return 1 for a text, γ for a taught step (shared out over them), both times the row's share."""
        del step
        taught = sum(self.latent.is_taught(number) for number in self._numbers)
        rows = [
            [1.0, *(self.latent.gamma / taught * self._is_taught(sample, number) for number in self._numbers)]
            for sample in samples
        ]
        shares = torch.tensor([float(self._share(sample, stage)) for sample in samples])
        return (torch.tensor(rows) * shares[:, None]).flatten()

    def size(self, samples: Sequence[LatentSample], stage: Stage, step: int) -> float:
        """Return the texts' tokens or the rows, as the stage's normalisation says."""
        del step
        return sum(self._share(sample, stage) for sample in samples)

    def answer_nll(self, terms: Tensor, samples: Sequence[LatentSample]) -> tuple[float, int]:
        """Return the sum of -log p of the rows' texts, and their tokens."""
        means = terms.reshape(len(samples), -1)[:, 0].tolist()
        tokens = [len(sample.text) for sample in samples]
        return sum(mean * count for mean, count in zip(means, tokens, strict=True)), sum(tokens)

    @property
    def _numbers(self) -> range:
        return range(1, self.latent.steps + 1)

    def _is_taught(self, sample: LatentSample, number: int) -> bool:
        return sample.teacher is not None and self.latent.is_taught(number)

    def _share(self, sample: LatentSample, stage: Stage) -> int:
        """Return how much a row counts: as many as its text has tokens, or one."""
        return len(sample.text) if stage.normalisation is Normalisation.TOKENS else 1
