"""A QThink checkpoint: a plain one, its projection head beside it, and what config.json says of both."""

from __future__ import annotations

from pathlib import Path

from rim_export.checkpoint.latent import LatentSettings

from rim_edge.methods.qthink.head import HEAD, take_head
from rim_edge.model.checkpoint import require_finite, write_tensors
from rim_edge.model.trainable import TrainableModel, write_trained
from rim_edge.recipe.latent import LatentTraining


def write_latent(folder: Path, trainable: TrainableModel, latent: LatentTraining) -> None:
    """Write a trained model into an existing folder; the head stays in fp32, whatever the model's type is.

    Without latent steps (the control) it is a plain checkpoint. Raises what write_trained does.
    """
    head = take_head(trainable.model)
    require_finite(head)
    file = f"{HEAD}.safetensors"
    settings = LatentSettings(steps=latent.steps, instruction=latent.instruction, head=file) if head else None
    write_trained(folder, trainable, settings)
    if head:
        write_tensors(folder / file, head)
