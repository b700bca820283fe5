"""A decoder in ONNX Runtime on the CPU. Tensors as in docs/bundle-format.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import GraphFiles
from rim_runtime.bundle.latent import latent_of
from rim_runtime.bundle.manifest import Precision, Variant
from rim_runtime.bundle.roles import Decoding, decoding
from rim_runtime.engines.backend import Answers, EngineOptions, Floats, Ints
from rim_runtime.engines.cancellation import Cancellation, check, when_cancelled
from rim_runtime.engines.decoders.caches import EMBEDS, LOGITS, STATES, KeyValues, cache_names, empty_cache
from rim_runtime.engines.decoders.decoder import DecoderState, Step
from rim_runtime.engines.decoders.projection import ProjectionHead
from rim_runtime.engines.graph import CPU_BATCH_TOKENS, first_line
from rim_runtime.engines.ort_cpu import SHRINK, open_session, session_entries, types_of
from rim_runtime.errors import BundleCorruptError, CancelledError, EngineClosedError, EngineFailedError
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.machine.cpu import this_cpu
from rim_runtime.machine.memory import give_back


@dataclass
class OrtState:
    """What an OrtCpuDecoder has read."""

    cache: KeyValues
    """Keys and values."""
    rows: int
    """Rows that are decoded together."""
    length: int
    """Tokens read so far."""
    capacity: int
    """The largest length."""


class OrtCpuDecoder:
    """A session of ONNX Runtime's CPU provider on a decoder."""

    name = "ort-cpu"

    def __init__(self, bundle: Bundle, variant: Variant, use: EngineOptions, files: GraphFiles) -> None:
        """Open a session on a decoder; `variant` is its entry (`graph_of`).

        Weights are rearranged for speed whatever `use.answers` says: an answer takes many runs.
        Raises MissingExtraError, EngineUnavailableError (the session cannot be made), BundleCorruptError (the
        graph is no decoder of ours, or the projection head is none) and CancelledError.
        """
        library = import_onnxruntime()
        found = decoding(bundle.manifest)
        assert found is not None, "check_roles refuses a decoder without it"
        self.precision: Precision = variant.precision
        self._decoding: Decoding = found
        entries = session_entries(library, variant.precision, Answers.MANY)
        said = ", ".join([variant.graph, *(f"{key}={value}" for key, value in entries.items())])
        self.fingerprint = f"onnxruntime {library.__version__} CPU, {this_cpu().fingerprint}, {said}"
        self._new_run: Callable[[], Any] = library.RunOptions
        self._session: Any = open_session(library, files, use, entries)
        self._check_interface(str(bundle.path / variant.graph))
        self._head = _open_head(library, bundle, use)

    def start(
        self, ids: Sequence[int], capacity: int, cancel: Cancellation | None = None
    ) -> tuple[OrtState, Step]:
        """Read a prompt into a new state of one row. Raises EngineFailedError, where memory is short too."""
        with _memory_for(1, capacity):
            cache = empty_cache(self._decoding, capacity)
        state = OrtState(cache, 1, 0, capacity)
        return state, self._run(state, np.array([ids], np.int64), None, cancel)

    def step(
        self,
        state: DecoderState,
        ids: Ints,
        vectors: Floats | None = None,
        cancel: Cancellation | None = None,
    ) -> Step:
        """Read one token, or vector, a row."""
        assert isinstance(state, OrtState)
        return self._run(state, ids[:, None], None if vectors is None else vectors[:, None], cancel)

    def project(self, states: Floats) -> Floats:
        """Return the vectors that latent steps read, of the states before them."""
        return states if self._head is None else self._head.run(states)

    def fork(self, state: DecoderState, rows: int) -> OrtState:
        """Return a new state with copies of a state's only row."""
        assert isinstance(state, OrtState)
        assert state.rows == 1
        with _memory_for(rows, state.capacity):
            cache = state.cache.repeat(rows, state.length)
        return OrtState(cache, rows, state.length, state.capacity)

    def trim(self, state: DecoderState, length: int) -> None:
        """Forget what was read after the first `length` tokens."""
        assert isinstance(state, OrtState)
        assert length <= state.length
        state.cache.trim(length)
        state.length = length

    def close(self) -> None:
        """Release the sessions; runs in other threads keep them until they finish."""
        self._session = None
        if self._head is not None:
            self._head.close()

    def _run(self, state: OrtState, ids: Ints, vectors: Floats | None, cancel: Cancellation | None) -> Step:
        session = self._session
        if session is None:
            raise EngineClosedError
        total = state.length + ids.shape[1]
        assert total <= state.capacity
        feed = {
            "input_ids": np.ascontiguousarray(ids),
            "attention_mask": np.ones((state.rows, total), np.int64),
            "position_ids": np.arange(state.length, total, dtype=np.int64)[None].repeat(state.rows, 0),
        }
        if vectors is not None:
            feed[EMBEDS] = np.ascontiguousarray(vectors, np.float32)
        options = self._new_run()
        is_long = ids.size > CPU_BATCH_TOKENS
        if is_long:
            options.add_run_config_entry(*SHRINK)
        try:
            with when_cancelled(cancel, lambda: setattr(options, "terminate", True)):
                logits, states = state.cache.run(session, feed, options)
        except CancelledError:
            raise
        except Exception as error:  # its errors have no other common base
            check(cancel)
            raise EngineFailedError(
                f"{self.name} failed on {state.rows} answers at {total} tokens ({first_line(error)}). Ask for "
                "fewer or shorter answers at once if memory is short."
            ) from error
        finally:
            if is_long:
                give_back()
        state.length = total
        return Step(logits[:, -1], states[:, -1])

    def _check_interface(self, path: str) -> None:
        """Raise BundleCorruptError unless the graph's inputs and outputs are those the manifest says."""
        names = cache_names(self._decoding)
        inputs = dict.fromkeys(("input_ids", "attention_mask", "position_ids"), "int64")
        inputs |= {past: "float32" for past, _ in names}
        outputs = dict.fromkeys((LOGITS, STATES, *(present for _, present in names)), "float32")
        found = types_of(self._session.get_inputs()), types_of(self._session.get_outputs())
        if found != (inputs, outputs):
            raise BundleCorruptError(
                f"{path} has the inputs {found[0]} and outputs {found[1]}, expected those of a decoder of "
                f"{self._decoding.layers} layers (docs/bundle-format.md). Export the bundle again."
            )


def _open_head(library: Any, bundle: Bundle, use: EngineOptions) -> ProjectionHead | None:
    latent = latent_of(bundle.manifest)
    if latent is None or latent.head is None:
        return None
    return ProjectionHead(library, bundle.read_file(latent.head), bundle.path / latent.head, use)


@contextmanager
def _memory_for(rows: int, capacity: int) -> Iterator[None]:
    """Turn a lack of memory for keys and values into our error."""
    try:
        yield
    except MemoryError:
        raise EngineFailedError(
            f"There is no memory for {rows:,} answers of {capacity:,} tokens, prompt included. Ask for fewer."
        ) from None
