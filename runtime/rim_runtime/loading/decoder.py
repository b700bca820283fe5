"""Open a bundle's decoder, when a text is asked for the first time: bundles that answer letters never need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import check_graph
from rim_runtime.bundle.manifest import Manifest, Precision, Variant
from rim_runtime.bundle.roles import Role, graph_of
from rim_runtime.bundle.unpacking import unpacked
from rim_runtime.engines.backend import EngineOptions
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.decoders.decoder import Decoder, LettersByDecoder
from rim_runtime.engines.decoders.mapped import MappedDecoder
from rim_runtime.engines.decoders.ort_cpu import OrtCpuDecoder
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.registry import require_engine
from rim_runtime.engines.support import choose_variant
from rim_runtime.errors import BundleCorruptError, BundleNotFoundError, EngineUnavailableError
from rim_runtime.loading.selftest import self_test
from rim_runtime.machine.records import Records
from rim_runtime.prompt.encoder import PromptEncoder

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

OpenDecoder = Callable[[Cancellation | None], Decoder]
"""Opens the decoder that belongs to a loaded engine; may be cancelled."""


@dataclass(frozen=True)
class DecoderPlace:
    """Where a loaded engine's decoder is, and how it is to be opened."""

    place: Path | Traversable
    """The bundle, as it was loaded: a packed one is unpacked once more."""
    manifest: Manifest
    """Its manifest, as it was loaded."""
    encoder: PromptEncoder
    """Its encoder."""
    engine: EngineName
    """The engine that was asked for."""
    precision: Precision | None
    """The precision that was asked for."""
    loaded: Precision
    """The precision in which letters are read."""
    use: EngineOptions
    """How the engine was opened."""

    def open(self, cancel: Cancellation | None) -> Decoder:
        """Open the decoder, on ort-cpu, check its files, and ask it the golden questions, once on this machine.

        Raises EngineUnavailableError, MissingExtraError, BundleNotFoundError (the bundle is gone),
        BundleCorruptError, SelfTestError and CancelledError.
        """
        if self.engine not in (EngineName.AUTO, EngineName.ORT_CPU):
            raise EngineUnavailableError(
                f"{self.engine} was asked for, and writes no text in this release, expected auto or "
                f"{EngineName.ORT_CPU}. Load the bundle with one of them."
            )
        require_engine(EngineName.ORT_CPU)
        use = replace(self.use, cancel=cancel)
        with unpacked(self.place) as folder:
            bundle = Bundle.load(folder)
            if bundle.manifest.sha256 != self.manifest.sha256:
                raise BundleCorruptError(
                    f"{folder} holds another bundle than the one that was loaded. Load that one."
                )
            return self._open(bundle, use)

    def _open(self, bundle: Bundle, use: EngineOptions) -> Decoder:
        variant, records = self._variant(bundle), Records.here()
        files = check_graph(bundle, variant, records, None)

        def opening() -> Decoder:
            return OrtCpuDecoder(bundle, variant, use, files)

        decoder: Decoder
        if files.weights is None:
            decoder = MappedDecoder(files, bundle.manifest.files[variant.data].sha256, opening)
        else:
            decoder = opening()
        try:
            files.require_unchanged()
            letters = LettersByDecoder(decoder, self.encoder.contract, tuple(self.manifest.letters.values()))
            self_test(bundle, self.encoder, letters, records, cancel=use.cancel)
        except BaseException:
            decoder.close()
            raise
        return decoder

    def _variant(self, bundle: Bundle) -> Variant:
        """Return the decoder's entry: of the precision that reads letters if it has one, else the first.

        Raises BundleNotFoundError if the precision that was asked for has none.
        """
        manifest = bundle.manifest
        wanted = [choose_variant(bundle, EngineName.ORT_CPU, self.loaded), *manifest.variants]
        found = [graph_of(manifest, one, Role.DECODER) for one in wanted if one is not None]
        able = [one for one in found if one is not None]
        right = [one for one in able if self.precision in (None, one.precision)]
        if not right:
            has = ", ".join(dict.fromkeys(one.precision for one in able))
            raise BundleNotFoundError(
                f"{bundle.path} writes text at {has}, not at {self.precision}. Take one of them."
            )
        return right[0]
