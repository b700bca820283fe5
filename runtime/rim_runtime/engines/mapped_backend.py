"""An engine that maps its weights from the bundle's file: the bytes that were hashed are the bytes that run.

Large weights are not copied: they stay in the file, whose pages the system shares and drops as it likes. So the
file is kept from changing. Linux makes whoever wants to write wait (lease.py); meanwhile the engine gets a copy of
its own (sealed_copy.py), and goes on with that. Where there is no lease, the copy is made at once, though not of
another user's file. Where there is no copy either, the file is compared before and after each answer.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from rim_runtime.bundle.integrity import GraphFiles
from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.backend import Backend, Floats, Ints
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.errors import EngineFailedError
from rim_runtime.machine.lease import Lease
from rim_runtime.machine.log import tell
from rim_runtime.machine.sealed_copy import maps, replace_mappings

_locks: defaultdict[tuple[int, ...], threading.Lock] = defaultdict(threading.Lock)
"""A lock for each file: while an engine maps or unmaps it, its mappings are not replaced."""


class MapsWeights(Protocol):
    """What maps weights: an engine, or a decoder."""

    @property
    def name(self) -> str:
        """The engine's name, as in EngineName."""

    @property
    def precision(self) -> Precision:
        """The number format it runs in."""

    @property
    def fingerprint(self) -> str:
        """One line that identifies what computes."""

    def close(self) -> None:
        """Free what it holds."""


Mapped = TypeVar("Mapped", bound=MapsWeights)


class MappedWeights(Generic[Mapped]):
    """What maps weights, and the file that they are in."""

    def __init__(self, files: GraphFiles, sha256: str, opening: Callable[[], Mapped]) -> None:
        """Let `opening` open the engine, while nobody writes; `sha256` is the hash of the weights' file.

        Raises BundleCorruptError if the files changed since they were checked, and what `opening` raises.
        """
        self._files, self._sha256 = files, sha256
        self._seen = files.data.identity[2:]
        self._lock = _locks[files.data.identity[:2]]
        self._lease: Lease | None = None
        self._sealed = False
        with self._lock:
            is_ours = self._take_lease()
            try:
                self._engine = opening()
                self._check_files()
            except BaseException:
                self._release_lease()
                raise
            self._sealed = not maps(files.data)  # as on a GPU
            if self._sealed:
                self._release_lease()
            elif self._lease is None and is_ours:
                self._seal()

    @property
    def name(self) -> str:
        """The engine's name, as in EngineName."""
        return self._engine.name

    @property
    def precision(self) -> Precision:
        """The number format it runs in."""
        return self._engine.precision

    @property
    def fingerprint(self) -> str:
        """One line that identifies what computes."""
        return self._engine.fingerprint

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how it was opened."""
        said: tuple[str, ...] = getattr(self._engine, "notes", ())  # some GPU engines have notes
        return said

    def close(self) -> None:
        """Close the engine and let go of the file."""
        with self._lock:
            self._engine.close()
            self._release_lease()

    def _take_lease(self) -> bool:
        """Take a lease if there is one; return whether the file is this user's."""
        seal = weakref.WeakMethod(self._seal_for_writer)  # an engine that nobody closes is freed all the same

        def let_go() -> None:
            method = seal()
            if method is not None:
                method()

        try:
            self._lease = Lease(self._files.data, let_go)
        except OSError as error:
            return error.errno != errno.EACCES
        weakref.finalize(self, self._lease.release).atexit = False
        return True

    def _release_lease(self) -> None:
        if self._lease is not None:
            self._lease.release()

    def _check_files(self) -> None:
        try:
            self._files.require_unchanged()
        except BaseException:
            self._engine.close()
            raise

    def _seal_for_writer(self) -> None:
        """Take a copy, because somebody wants to write into the file and waits for it."""
        with self._lock:
            self._seal()

    def _seal(self) -> None:
        try:
            size = replace_mappings(self._files.data)
        except OSError as error:  # then it is compared at each answer
            tell("no copy of %s (%s)", self._files.data.path, error)
        else:
            self._sealed = True
            tell("%s runs on its own copy of %s, %.0f MB", self.name, self._files.data.path, size / 1e6)

    def _is_kept(self) -> bool:
        """Whether what the engine reads cannot have changed."""
        return self._sealed or (self._lease is not None and self._lease.is_held())

    def require_same(self) -> None:
        """Raise EngineFailedError unless the engine's weights are what was hashed."""
        if self._is_kept():
            return
        file = self._files.data
        try:
            times = file.times()
            if times == self._seen:
                return
            if file.has_same_content() and file.sha256() == self._sha256:  # renamed, removed, or touched
                self._seen = times
                return
            why = "was written"
        except OSError as error:  # a share that is gone
            why = f"cannot be read any more ({error.strerror})"
        if self._is_kept():  # a copy was made since the first look: who wrote has waited for that
            return
        raise EngineFailedError(
            f"{file.path} {why} while {self.name} had it open, expected the file that was checked. Load the "
            "bundle again, and replace bundles by renaming folders, never by writing into their files."
        )


class MappedBackend(MappedWeights[Backend]):
    """A backend of another class, and the file that its weights are in."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens per batch at which it answers the most questions per second."""
        return self._engine.batch_tokens

    def run(
        self, question_ids: Ints, question_length: Ints, blocks: Ints, cancel: Cancellation | None = None
    ) -> Floats:
        """Return the letters' logits, float32 [batch, letters].

        Raises EngineFailedError if the file was written since the engine was opened, and it has no copy.
        """
        self.require_same()
        logits = self._engine.run(question_ids, question_length, blocks, cancel)
        self.require_same()
        return logits


if hasattr(os, "register_at_fork"):  # threads that hold them do not follow
    os.register_at_fork(after_in_child=_locks.clear)
