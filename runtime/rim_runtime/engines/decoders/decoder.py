"""The interface of a decoder, which reads tokens or vectors and gives the logits of the next token.

Its graph is described in docs/bundle-format.md. A letter is read by a Backend (engines/backend.py); both run over
the same file of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.graph import CPU_BATCH_TOKENS
from rim_runtime.prompt.contract import PromptContract


class DecoderState(Protocol):
    """What a decoder has read: rows of one length, and their keys and values. One thread at a time uses it."""

    @property
    def rows(self) -> int:
        """Rows that are decoded together."""

    @property
    def length(self) -> int:
        """Tokens and vectors read so far, in each row."""

    @property
    def capacity(self) -> int:
        """The largest length there is room for."""


@dataclass(frozen=True)
class Step:
    """What a decoder says after the last token of each row."""

    logits: Floats
    """Of the next token, float32 [rows, vocabulary]."""
    states: Floats
    """After the last norm, in the checkpoint's own basis, float32 [rows, width]."""


class Decoder(Protocol):
    """One loaded decoder graph. Several threads may use it at once, each with states of its own."""

    @property
    def name(self) -> str:
        """The engine's name, as in EngineName."""

    @property
    def precision(self) -> Precision:
        """The number format it runs in."""

    @property
    def fingerprint(self) -> str:
        """One line that identifies what computes: library version, device, variant."""

    def start(
        self, ids: Sequence[int], capacity: int, cancel: Cancellation | None = None
    ) -> tuple[DecoderState, Step]:
        """Read a prompt into a new state of one row, with room for `capacity` tokens.

        Raises EngineFailedError, EngineClosedError and CancelledError, as `step` does.
        """

    def step(
        self,
        state: DecoderState,
        ids: Ints,
        vectors: Floats | None = None,
        cancel: Cancellation | None = None,
    ) -> Step:
        """Read one token a row: `ids` is int64 [rows]; -1 takes the row of `vectors`, float32 [rows, width].

        An error or a cancellation leaves the state as it was. The state must have room.
        """

    def project(self, states: Floats) -> Floats:
        """Return the vectors that latent steps read, of the states before them: both float32 [rows, width].

        Without a projection head they are the same. Raises EngineFailedError and EngineClosedError.
        """

    def fork(self, state: DecoderState, rows: int) -> DecoderState:
        """Return a new state with copies of a state's only row."""

    def trim(self, state: DecoderState, length: int) -> None:
        """Forget what was read after the first `length` tokens."""

    def close(self) -> None:
        """Free what it holds; running calls finish first."""


class LettersByDecoder:
    """A Backend that reads letters from a decoder's logits, so that golden questions can test it.

    Each prompt is read but for its last token, which is then read alone: so both ways are tested.
    """

    batch_tokens = CPU_BATCH_TOKENS

    def __init__(self, decoder: Decoder, contract: PromptContract, letter_ids: Sequence[int]) -> None:
        self.name, self.precision, self.fingerprint = decoder.name, decoder.precision, decoder.fingerprint
        self._decoder, self._contract, self._letter_ids = decoder, contract, list(letter_ids)

    def run(
        self, question_ids: Ints, question_length: Ints, blocks: Ints, cancel: Cancellation | None = None
    ) -> Floats:
        """Return the letters' logits, float32 [batch, letters]."""
        rows = zip(question_ids, question_length, blocks, strict=True)
        return np.stack([self._read(ids[:length].tolist(), int(count), cancel) for ids, length, count in rows])

    def close(self) -> None:
        """Do nothing: the decoder is its owner's."""

    def _read(self, question: Sequence[int], blocks: int, cancel: Cancellation | None) -> Floats:
        contract = self._contract
        *most, last = (*contract.head, *question, *contract.suffix(blocks))
        state, _ = self._decoder.start(most, len(most) + 1, cancel)
        logits = self._decoder.step(state, np.array([last], np.int64), cancel=cancel).logits
        letters: Floats = logits[0, self._letter_ids]
        return letters
