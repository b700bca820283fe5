"""The latent steps of a decoder that is certified, and those of the checkpoint that it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rim_runtime.bundle.latent import PROJECTION, Latent
from rim_runtime.engines.backend import MANY
from rim_runtime.engines.decoders.projection import ProjectionHead
from rim_runtime.libraries.onnxruntime import import_onnxruntime

from rim_export.certification.decoder_session import DecoderRun, DecoderSession
from rim_export.latent_writer import LatentModel
from rim_export.measure.latent_vectors import VECTOR, latent_vectors
from rim_export.progress import Progress
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class LatentProof:
    """Latent steps behind the prompts of a certificate."""

    latent: Latent
    """Their contract."""
    project: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """What the exported head makes of states, both [rows, width]."""
    vectors: tuple[torch.Tensor, ...]
    """What the checkpoint itself reads behind each prompt, [steps, width]."""

    def follow(self, session: DecoderSession, run: DecoderRun) -> DecoderRun:
        """Return the decoder's run behind its own latent steps, and the tokens that end them."""
        for _ in range(self.latent.steps):
            vectors = self.project(run.states[:, -1])
            run = session.run(np.array([[VECTOR]]), run.cache, vectors=vectors[:, None])
        for token in self.latent.end_ids:
            run = session.run(np.array([[token]]), run.cache)
        return run

    def read(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """Return what the checkpoint reads before its first token, with `VECTOR` in the vectors' places."""
        return (*prompt, *self.latent.steps * [VECTOR], *self.latent.end_ids)


def prepare_latent_proof(
    model: LatentModel,
    folder: Path,
    weights: ModelWeights,
    prompts: Sequence[Sequence[int]],
    tell: Progress,
) -> LatentProof:
    """Return the proof of latent steps behind these prompts; the exported head is in the bundle's `folder`.

    The checkpoint takes its own steps: transformers' forward, and the head in torch.
    """
    head = model.head
    vectors = latent_vectors(
        weights,
        prompts,
        model.latent.steps,
        head.project if head else _unchanged,
        lambda share: tell("Taking the checkpoint's latent steps", share),
    )
    project = _exported(folder / PROJECTION) if head else _unchanged_array
    return LatentProof(model.latent, project, tuple(vectors))


def _exported(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    return ProjectionHead(import_onnxruntime(), path.read_bytes(), path, MANY).run


def _unchanged(states: torch.Tensor) -> torch.Tensor:
    return states


def _unchanged_array(states: NDArray[np.float32]) -> NDArray[np.float32]:
    return states
