"""What a training method is: how examples become batches, and what the loss of a batch is made of.

A batch has *terms*: numbers that its rows contribute, each with a place, by which they are shown, and a weight.
The loss is their weighted sum, divided by the batch's size over all processes and passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from rim_edge.data.rows import Example
from rim_edge.methods.encoder import TextEncoder
from rim_edge.recipe.curriculum import Stage

Sample = TypeVar("Sample")
"""An example as a method encodes it."""


class Term(StrEnum):
    """What a term of a loss is."""

    NLL = "nll"
    """-log p of a text."""
    DISTANCE = "distance"
    """How far a state is from a teacher's."""


Place = tuple[Term, int]
"""What a term is, and its number among a row's terms of that kind, from 1."""


class Batch(Protocol):
    """The tensors of one pass."""

    @property
    def tokens(self) -> int:
        """Tokens of its rows, padding included."""

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on a device."""

    def pinned(self) -> Batch:
        """Return the same batch in page-locked memory; only where there is a CUDA device."""


class Method(Protocol[Sample]):
    """A way of training."""

    @property
    def encoder(self) -> TextEncoder:
        """Encodes texts, and questions as they are asked."""

    def sample(self, example: Example, stage: Stage, step: int = 0) -> Sample:
        """Encode an example for step `step` (0..stage.steps-1) of a stage."""

    def length(self, sample: Sample) -> int:
        """Return the tokens of a sample's row."""

    def last_position(self, sample: Sample) -> int:
        """Return how many positions of the model a sample takes."""

    def longest(self, example: Example) -> int:
        """Return a number of tokens that no row of an example exceeds in any stage, without encoding it."""

    def batch(self, samples: Sequence[Sample]) -> Batch:
        """Return the tensors of samples."""

    def scorer(self, model: Any) -> nn.Module:
        """Return the module whose forward pass takes a batch and gives float32 [terms]."""

    def places(self, samples: Sequence[Sample]) -> list[Place | None]:
        """Return the place of each term, in the order in which the scorer gives them; None: it means nothing."""

    def weights(self, samples: Sequence[Sample], stage: Stage, step: int) -> Tensor:
        """Return the weight of each term at a step of a stage: float32 [terms]."""

    def size(self, samples: Sequence[Sample], stage: Stage, step: int) -> float:
        """Return these samples' share of what the batch's weighted sum is divided by, at a step of a stage."""

    def answer_nll(self, terms: Tensor, samples: Sequence[Sample]) -> tuple[float, int]:
        """Return the sum of -log p over the tokens of the rows' answers, not weighted, and how many they are.

        A row's answer is the last text that it learns.
        """


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; to a CUDA device it is copied in the order of what that computes.

    Then the caller goes on at once, if the tensor is in page-locked memory.
    """
    return tensor.to(device, non_blocking=device.type == "cuda")


def utf8(text: str) -> int:
    """Return the bytes of a text; half a character counts as what it is."""
    return len(text.encode("utf-8", "surrogatepass"))
