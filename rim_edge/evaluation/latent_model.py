"""The latent steps of a checkpoint that is scored in torch: its prompt, its head, the tokens around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.latent import CARD_INSTRUCTION, LatentSettings, token_ids
from rim_export.checkpoint.projection_head import ProjectionHead, find_projection_head, read_projection_head
from rim_export.checkpoint.prompt import derive_latent_contract

from rim_edge.evaluation.decoding import LatentSteps
from rim_edge.methods.encoder import TextEncoder


@dataclass(frozen=True)
class LatentModel:
    """What a checkpoint does before it writes."""

    encoder: TextEncoder
    """Its prompts: the chat template with nothing said of thinking."""
    instruction: str
    """What stands before each question."""
    begin: tuple[int, ...]
    """Tokens before the latent steps."""
    steps: LatentSteps
    """The steps, and the tokens behind them."""

    def prompt(self, question: str) -> tuple[int, ...]:
        """Return the ids up to the first latent step."""
        return (*self.encoder.prompt(self.instruction + question), *self.begin)


def latent_encoder(encoder: TextEncoder) -> TextEncoder:
    """Return the encoder of the same tokenizer for prompts up to latent steps. Raises CheckpointError."""
    return TextEncoder(encoder.tokenizer, derive_latent_contract(encoder.tokenizer))


def read_latent_model(checkpoint: Checkpoint, encoder: TextEncoder, model: Any) -> LatentModel | None:
    """Return the latent steps of a checkpoint, as its export would take them; None where it has none.

    A head without a config entry is QThink's, as their cards describe it. Raises CheckpointError.
    """
    file, settings = find_projection_head(checkpoint.path), checkpoint.latent
    if settings is None:
        if file is None:
            return None
        settings = LatentSettings(instruction=CARD_INSTRUCTION)
    if settings.head is not None:
        file = checkpoint.path / settings.head
    head = None if file is None else read_projection_head(file, checkpoint.sizes.width)
    return LatentModel(
        encoder=latent_encoder(encoder),
        instruction=settings.instruction,
        begin=token_ids(encoder.tokenizer, settings.begin),
        steps=LatentSteps(settings.steps, _projecting(head, model), token_ids(encoder.tokenizer, settings.end)),
    )


def _projecting(head: ProjectionHead | None, model: Any) -> Any:
    """Return the function from states to vectors: in fp32 on the CPU, as bundles compute it."""
    if head is None:
        return lambda states: states

    def project(states: torch.Tensor) -> torch.Tensor:
        return head.project(states.float().cpu()).to(model.device, states.dtype)

    return project
