"""An example as QThink trains it: a prompt, the text after the latent steps, and the teacher's states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rim_edge.data.rows import Example
from rim_edge.methods.encoder import TextEncoder
from rim_edge.methods.method import to_device
from rim_edge.recipe.latent import PLACE, LatentTraining
from rim_edge.recipe.switches import Target


@dataclass(frozen=True, eq=False)
class LatentSample:
    """One encoded example."""

    prompt: tuple[int, ...]
    """The question in its turn, instruction included."""
    text: tuple[int, ...]
    """What is written after the latent steps; its end token is cut off with the rest where it is long."""
    teacher: Tensor | None = None
    """The states that the latent steps learn from, float32 [steps, hidden]; None where there are none."""


@dataclass(frozen=True)
class LatentBatch:
    """Samples as tensors: prompts padded on the left, texts on the right."""

    prompts: Tensor
    """int64 [rows, longest prompt]."""
    seen: Tensor
    """int64 [rows, longest prompt]: 1 for tokens, 0 for padding."""
    texts: Tensor
    """int64 [rows, longest text]."""
    written: Tensor
    """bool [rows, longest text]: which of them are tokens, not padding."""
    teachers: Tensor
    """float32 [rows, steps, hidden]: zeros where there are none."""

    @property
    def tokens(self) -> int:
        """Tokens of its rows, latent steps and padding included."""
        return self.prompts.numel() + self.texts.numel() + self.teachers.shape[0] * self.teachers.shape[1]

    def to(self, device: torch.device) -> LatentBatch:
        """Return the same batch on a device."""
        return LatentBatch(*(to_device(tensor, device) for tensor in vars(self).values()))

    def pinned(self) -> LatentBatch:
        """Return the same batch in page-locked memory."""
        return LatentBatch(*(tensor.pin_memory() for tensor in vars(self).values()))


def latent_prompt(encoder: TextEncoder, question: str, instruction: str) -> tuple[int, ...]:
    """Return the ids of a question up to the first latent step."""
    return encoder.prompt(instruction + question)


def solution(example: Example, latent: LatentTraining) -> str:
    """Return the text that is written after the latent steps."""
    steps = example.steps if latent.target is Target.SOLUTION else ()
    return "\n".join((*steps, latent.answer.replace(PLACE, example.answer)))


def latent_text(encoder: TextEncoder, example: Example, latent: LatentTraining) -> tuple[int, ...]:
    """Return the ids of an example's text, cut to its limit."""
    ids = (*encoder.encode(solution(example, latent)), encoder.end_of_turn)
    return ids[: latent.target_tokens]


def batch_of(samples: Sequence[LatentSample], steps: int, width: int, padding: int) -> LatentBatch:
    """Return samples as tensors; `steps` latent steps of `width` channels."""
    longest, written = max(len(one.prompt) for one in samples), max(len(one.text) for one in samples)
    prompts, seen = (
        torch.tensor([[*(longest - len(one.prompt)) * [fill], *row(one)] for one in samples])
        for fill, row in ((padding, lambda one: one.prompt), (0, lambda one: len(one.prompt) * [1]))
    )
    texts = torch.tensor([[*one.text, *(written - len(one.text)) * [padding]] for one in samples])
    lengths = torch.tensor([len(one.text) for one in samples])
    teachers = torch.zeros(len(samples), steps, width)
    for row, one in enumerate(samples):
        if one.teacher is not None:
            teachers[row] = one.teacher
    return LatentBatch(prompts, seen, texts, torch.arange(written) < lengths[:, None], teachers)
