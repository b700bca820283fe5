"""Open a bundle's decoder, when a text is asked for the first time."""

from __future__ import annotations

from collections.abc import Callable

from rim_runtime.bundle.manifest import Manifest
from rim_runtime.bundle.roles import Role
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.decoders.decoder import Decoder, LettersByDecoder
from rim_runtime.engines.decoders.mapped import MappedDecoder
from rim_runtime.engines.decoders.ort_cpu import OrtCpuDecoder
from rim_runtime.loading.later import LoadedPlace, RoleKind
from rim_runtime.prompt.encoder import PromptEncoder

OpenDecoder = Callable[[Cancellation | None], Decoder]
"""Opens the decoder that belongs to a loaded engine; may be cancelled."""


def decoder_opening(place: LoadedPlace) -> OpenDecoder:
    """Return what opens the decoder of a loaded bundle; it raises what `LoadedPlace.open` does."""
    return lambda cancel: place.open(_DECODER, cancel)


def _letters(decoder: Decoder, encoder: PromptEncoder, manifest: Manifest) -> LettersByDecoder:
    return LettersByDecoder(decoder, encoder.contract, tuple(manifest.letters.values()))


_DECODER: RoleKind[Decoder] = RoleKind(
    Role.DECODER, "writes text", "writes no text", OrtCpuDecoder, MappedDecoder, _letters
)
