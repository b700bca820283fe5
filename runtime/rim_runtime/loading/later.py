"""Open a loaded bundle's graphs in other roles when they are first needed: letters never need them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import GraphFiles, check_graph
from rim_runtime.bundle.manifest import Manifest, Precision, Variant
from rim_runtime.bundle.roles import Role, graph_of
from rim_runtime.bundle.unpacking import unpacked
from rim_runtime.engines.backend import Backend, EngineOptions
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.mapped_backend import MapsWeights
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.registry import require_engine
from rim_runtime.engines.support import choose_variant
from rim_runtime.errors import BundleCorruptError, BundleNotFoundError, EngineUnavailableError
from rim_runtime.loading.selftest import self_test
from rim_runtime.machine.records import Records
from rim_runtime.prompt.encoder import PromptEncoder

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

Opened = TypeVar("Opened", bound=MapsWeights)


@dataclass(frozen=True)
class RoleKind(Generic[Opened]):
    """How graphs of a role are opened on ort-cpu, and tested."""

    role: Role
    """The role."""
    does: str
    """What its graphs do, as in `writes text`."""
    does_not: str
    """What others do not, as in `writes no text`."""
    open: Callable[[Bundle, Variant, EngineOptions, GraphFiles], Opened]
    """Opens one."""
    map: Callable[[GraphFiles, str, Callable[[], Opened]], Opened]
    """Opens one whose weights are mapped, by the hash of their file."""
    letters: Callable[[Opened, PromptEncoder, Manifest], Backend]
    """Returns what reads letters with it, for the golden questions."""


@dataclass(frozen=True)
class LoadedPlace:
    """Where a loaded engine's bundle is, and how its further graphs are to be opened."""

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

    def open(self, kind: RoleKind[Opened], cancel: Cancellation | None) -> Opened:
        """Open a graph, on ort-cpu, check its files, and ask it the golden questions, once on this machine.

        Raises EngineUnavailableError, MissingExtraError, BundleNotFoundError (the bundle is gone),
        BundleCorruptError, SelfTestError and CancelledError.
        """
        if self.engine not in (EngineName.AUTO, EngineName.ORT_CPU):
            raise EngineUnavailableError(
                f"{self.engine} was asked for, and {kind.does_not} in this release, expected auto or "
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
            return self._open(kind, bundle, use)

    def _open(self, kind: RoleKind[Opened], bundle: Bundle, use: EngineOptions) -> Opened:
        variant, records = self._variant(kind, bundle), Records.here()
        files = check_graph(bundle, variant, records, None)

        def opening() -> Opened:
            return kind.open(bundle, variant, use, files)

        if files.weights is None:
            opened = kind.map(files, bundle.manifest.files[variant.data].sha256, opening)
        else:
            opened = opening()
        try:
            files.require_unchanged()
            letters = kind.letters(opened, self.encoder, self.manifest)
            self_test(bundle, self.encoder, letters, records, cancel=use.cancel)
        except BaseException:
            opened.close()
            raise
        return opened

    def _variant(self, kind: RoleKind[Opened], bundle: Bundle) -> Variant:
        """Return the graph's entry: of the precision that reads letters if it has one, else the first.

        Raises BundleNotFoundError if the precision that was asked for has none.
        """
        manifest = bundle.manifest
        wanted = [choose_variant(bundle, EngineName.ORT_CPU, self.loaded), *manifest.variants]
        found = [graph_of(manifest, one, kind.role) for one in wanted if one is not None]
        able = [one for one in found if one is not None]
        right = [one for one in able if self.precision in (None, one.precision)]
        if not right:
            has = ", ".join(dict.fromkeys(one.precision for one in able))
            raise BundleNotFoundError(
                f"{bundle.path} {kind.does} at {has}, not at {self.precision}. Take one of them."
            )
        return right[0]
