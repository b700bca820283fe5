"""A trace in ONNX Runtime on the CPU. Tensors as in readouts.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import GraphFiles
from rim_runtime.bundle.manifest import Head, Precision, Variant
from rim_runtime.engines.backend import EngineOptions, Floats, Ints
from rim_runtime.engines.cancellation import Cancellation, check
from rim_runtime.engines.graph import run_failed
from rim_runtime.engines.ort_cpu import open_session, run_options, session_entries, types_of
from rim_runtime.engines.traces.readouts import Readouts
from rim_runtime.errors import BundleCorruptError, CancelledError, EngineClosedError
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.machine.cpu import this_cpu

INPUTS = ("question_ids", "question_length")
LETTERS, TOKENS = "letter_logits", "logits"


class OrtCpuTrace:
    """A session of ONNX Runtime's CPU provider on a trace."""

    name = "ort-cpu"

    def __init__(self, bundle: Bundle, variant: Variant, use: EngineOptions, files: GraphFiles) -> None:
        """Open a session on a trace; `variant` is its entry (`graph_of`).

        Raises MissingExtraError, EngineUnavailableError (the session cannot be made), BundleCorruptError (the
        graph is no trace of ours) and CancelledError.
        """
        library = import_onnxruntime()
        self.precision: Precision = variant.precision
        entries = session_entries(library, variant.precision, use.answers)
        said = ", ".join([variant.graph, *(f"{key}={value}" for key, value in entries.items())])
        self.fingerprint = f"onnxruntime {library.__version__} CPU, {this_cpu().fingerprint}, {said}"
        self._path = str(bundle.path / variant.graph)
        self._letter_ids = list(bundle.manifest.letters.values())
        self._readouts = bundle.manifest.prompt.blocks + 1
        self._head = variant.head
        self._new_run: Callable[[], Any] = library.RunOptions
        self._session: Any = open_session(library, files, use, entries)
        self._outputs = self._check_interface()

    def run(self, question_ids: Ints, question_length: Ints, cancel: Cancellation | None = None) -> Readouts:
        """Read out behind every block; `cancel` ends it at the next operator."""
        session = self._session
        if session is None:
            raise EngineClosedError
        feed = dict(zip(INPUTS, (question_ids, question_length), strict=True))
        try:
            with run_options(self._new_run, question_ids.size, cancel) as options:
                outputs = session.run(list(self._outputs), feed, options)
        except CancelledError:
            raise
        except Exception as error:  # its errors have no other common base
            check(cancel)
            raise run_failed(self.name, question_ids, error) from error
        found = dict(zip(self._outputs, outputs, strict=True))
        return Readouts(self._letters(found, len(question_ids)), found.get(TOKENS))

    def close(self) -> None:
        """Release the session; runs in other threads keep it until they finish."""
        self._session = None

    def _letters(self, found: dict[str, Floats], batch: int) -> Floats:
        """Return the letters' columns. Raises BundleCorruptError if there are others than the manifest says."""
        full = self._head is Head.FULL
        logits = found[TOKENS if full else LETTERS]
        ids, columns = self._letter_ids, logits.shape[-1]
        fits = columns > max(ids) if full else columns == len(ids)
        if not fits or logits.shape[:-1] != (batch, self._readouts):
            raise BundleCorruptError(
                f"{self._path} gave logits of shape {logits.shape} for {batch} questions, {self._readouts - 1} "
                f"blocks and {len(ids)} letters: it does not belong to this manifest. Export the bundle again."
            )
        return logits[..., ids] if full else logits

    def _check_interface(self) -> tuple[str, ...]:
        """Return the outputs' names. Raises BundleCorruptError unless inputs and outputs are those of a trace."""
        inputs, outputs = map(types_of, (self._session.get_inputs(), self._session.get_outputs()))
        needed = TOKENS if self._head is Head.FULL else LETTERS
        known = {name: "float32" for name in (LETTERS, TOKENS) if name in outputs}
        if inputs != dict.fromkeys(INPUTS, "int64") or needed not in outputs or outputs != known:
            raise BundleCorruptError(
                f"{self._path} has the inputs {inputs} and outputs {outputs}, expected int64 {', '.join(INPUTS)} "
                f"and float32 {needed}. It is no trace of ours; export the bundle again."
            )
        return tuple(outputs)
