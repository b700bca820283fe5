"""Latent steps before a text, as a bundle's manifest says them in `optional` (docs/latent.md).

The model reads its own last state in the place of a token, `steps` times, through a projection head or as it is.
QThink, CODI and Coconut differ in these values alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from rim_runtime.bundle.json_fields import build_known
from rim_runtime.bundle.manifest import Manifest
from rim_runtime.bundle.roles import LATENT, decoding
from rim_runtime.errors import BundleCorruptError
from rim_runtime.prompt.contract import PromptContract

PROJECTION = "projection_head.onnx"
"""The usual name of the head's file."""


@dataclass(frozen=True)
class Latent:
    """The latent contract of a bundle."""

    steps: int
    """K: the steps that the model was trained with. Any other number can be asked for."""
    prompt: PromptContract
    """What the question stands in; no blocks, and no prefix."""
    instruction: str = ""
    """What stands before each question, in the same turn."""
    begin_ids: tuple[int, ...] = ()
    """Tokens between the prompt and the first latent step."""
    end_ids: tuple[int, ...] = ()
    """Tokens behind the last latent step. The logits behind all of this give the first token: the last of these
    tokens', or, without any, the last latent step's."""
    head: str | None = None
    """File of the projection head, which makes a step's vector of the state before it; None: that state itself."""


def latent_of(manifest: Manifest, where: str = "manifest.json") -> Latent | None:
    """Return a bundle's latent contract; None if it takes no latent steps. Raises BundleCorruptError."""
    found = manifest.optional.get(LATENT)
    return None if found is None else build_known(Latent, found, where)


def check_latent(manifest: Manifest, where: str) -> None:
    """Raise BundleCorruptError for a latent contract that no bundle can have."""
    latent, decoder = latent_of(manifest, where), decoding(manifest, where)
    if latent is None:
        return
    prompt = latent.prompt
    ids = (*prompt.head, *prompt.tail, *latent.begin_ids, *latent.end_ids)
    possible = (
        decoder is not None
        and 1 <= latent.steps <= manifest.limits.model_positions
        and not (prompt.blocks or prompt.prefix)
        and all(0 <= one < decoder.vocabulary for one in ids)
        and latent.head in (None, *manifest.files)
    )
    if not possible:
        raise BundleCorruptError(f"{where} has impossible values in {LATENT}. Export the bundle again.")
