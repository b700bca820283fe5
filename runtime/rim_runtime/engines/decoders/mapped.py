"""A decoder that maps its weights from the bundle's file, kept from changing as an engine's is."""

from __future__ import annotations

from collections.abc import Sequence

from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.decoders.decoder import Decoder, DecoderState, Step
from rim_runtime.engines.mapped_backend import MappedWeights


class MappedDecoder(MappedWeights[Decoder]):
    """A decoder of another class, and the file that its weights are in.

    `start` and `step` raise EngineFailedError if the file was written meanwhile, and there is no copy.
    """

    def start(
        self, ids: Sequence[int], capacity: int, cancel: Cancellation | None = None
    ) -> tuple[DecoderState, Step]:
        """Read a prompt into a new state of one row."""
        self.require_same()
        started = self._engine.start(ids, capacity, cancel)
        self.require_same()
        return started

    def step(
        self,
        state: DecoderState,
        ids: Ints,
        vectors: Floats | None = None,
        cancel: Cancellation | None = None,
    ) -> Step:
        """Read one token, or vector, a row."""
        step = self._engine.step(state, ids, vectors, cancel)
        self.require_same()
        return step

    def project(self, states: Floats) -> Floats:
        """Return the vectors that latent steps read; the head's weights are in memory."""
        return self._engine.project(states)

    def fork(self, state: DecoderState, rows: int) -> DecoderState:
        """Return a new state with copies of a state's only row."""
        return self._engine.fork(state, rows)

    def trim(self, state: DecoderState, length: int) -> None:
        """Forget what was read after the first `length` tokens."""
        self._engine.trim(state, length)
