"""One engine, opened for a bundle and tested on its golden questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rim_runtime.backends.protocol import Backend
from rim_runtime.bundle import Bundle
from rim_runtime.engines import EngineName, open_backend
from rim_runtime.manifest import Variant
from rim_runtime.prompt import PromptEncoder
from rim_runtime.records import Records
from rim_runtime.rungs import Rungs
from rim_runtime.selftest import self_test
from rim_runtime.use import Use


@dataclass(frozen=True)
class Wish:
    """What is to be opened, whichever engine it will be."""

    bundle: Bundle
    """The bundle."""
    rungs: Rungs
    """The engines to try, and which of the bundle's graphs each would run."""
    encoder: PromptEncoder
    """Its encoder."""
    use: Use
    """What the engine is for."""
    records: Records
    """What is remembered of earlier loads."""
    progress: Callable[[str], None] | None
    """Told what takes long."""
    check: Callable[[Variant], None]
    """Hashes a variant's files; to be called before it is opened. Raises BundleCorruptError."""

    def variant(self, name: EngineName) -> Variant:
        """Return what an engine would run."""
        return (self.rungs.gpu | self.rungs.cpu)[name]

    def open(self, name: EngineName) -> Backend:
        """Open one of the engines, untested."""
        return open_backend(name, self.bundle, self.variant(name), self.use, self.progress)


@dataclass(frozen=True)
class Opened:
    """An engine that passed the golden questions."""

    backend: Backend
    """The engine itself."""
    notes: tuple[str, ...]
    """What the user should know about how it was found."""


def open_tested(name: EngineName, wish: Wish) -> Opened:
    """Open one engine; the golden questions are asked unless they were before. Raises what that raises."""
    backend = wish.open(name)
    try:
        note = self_test(wish.bundle, wish.encoder, backend, wish.records, wish.progress)
    except BaseException:
        backend.close()
        raise
    said: tuple[str, ...] = getattr(backend, "notes", ())  # GPU engines have something to say at times
    return Opened(backend, (*said, *([note] if note else [])))
