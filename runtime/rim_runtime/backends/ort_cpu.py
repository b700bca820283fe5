"""ONNX Runtime on the CPU.

| tensor | type, shape |
| --- | --- |
| in `question_ids`, `question_length`, `blocks` | int64 [batch, length], [batch], [batch] |
| out `letter_logits` (head `letters`) | float32 [batch, letters] |
| out `logits` (head `full`) | float32 [batch, vocabulary]; the letters' columns are picked here |
"""

from __future__ import annotations

from typing import Any

from rim_runtime.backends.protocol import Floats, Ints
from rim_runtime.bundle import Bundle
from rim_runtime.cpu import this_cpu
from rim_runtime.errors import (
    BundleCorruptError,
    EngineClosedError,
    EngineFailedError,
    EngineUnavailableError,
    InputError,
)
from rim_runtime.manifest import Head, Precision, Variant
from rim_runtime.onnx_runtime import import_onnxruntime

INPUTS = ("question_ids", "question_length", "blocks")
SPIN_US = "100"
"""How long idle worker threads spin. Spanning the gaps between operators is as fast as ONNX Runtime's default
on free cores, and about 25 % faster where other programs want the cores too; nothing spins after an answer."""
OUTPUTS = {Head.LETTERS: "letter_logits", Head.FULL: "logits"}


class OrtCpuBackend:
    """A session of ONNX Runtime's CPU provider."""

    name = "ort-cpu"

    def __init__(self, bundle: Bundle, variant: Variant, threads: int | None = None) -> None:
        """Open a session on a variant; `threads` None means one a physical core.

        Raises MissingExtraError, EngineUnavailableError (the session cannot be made), BundleCorruptError (the
        graph is not ours) and InputError (threads).
        """
        if threads is not None and threads < 1:
            raise InputError(f"Got {threads} threads, expected at least 1. Leave it out for one a physical core.")
        library = import_onnxruntime()
        self.precision: Precision = variant.precision
        self.fingerprint = f"onnxruntime {library.__version__} CPU, {this_cpu().fingerprint}, {variant.name}"
        self._output = OUTPUTS[variant.head]
        self._head, self._letter_ids = variant.head, list(bundle.manifest.letters.values())
        self._graph = str(bundle.path / variant.graph)
        self._session: Any = _open_session(library, self._graph, threads)
        _check_interface(self._session, self._output, self._graph)

    def run(self, question_ids: Ints, question_length: Ints, blocks: Ints) -> Floats:
        """Return the letters' logits, float32 [batch, letters]."""
        session = self._session
        if session is None:
            raise EngineClosedError
        feed = dict(zip(INPUTS, (question_ids, question_length, blocks), strict=True))
        try:
            (logits,) = session.run([self._output], feed)
        except Exception as error:  # its errors share no other base
            raise EngineFailedError(
                f"{self.name} failed on {question_ids.shape[0]} questions of up to {question_ids.shape[1]} tokens "
                f"({_first_line(error)}). Ask fewer or shorter questions at once if memory is short."
            ) from error
        return self._letters(logits, len(question_ids))

    def _letters(self, logits: Any, batch: int) -> Floats:
        """Return the letters' columns, float32 [batch, letters]. Raises BundleCorruptError without them."""
        ids = self._letter_ids
        fits = logits.shape[-1] == len(ids) if self._head is Head.LETTERS else logits.shape[-1] > max(ids)
        if not fits or logits.shape[:-1] != (batch,):
            raise BundleCorruptError(
                f"{self._graph} gave logits of shape {logits.shape} for {batch} questions and {len(ids)} letters: "
                "it does not belong to this manifest. Export the bundle again."
            )
        letters: Floats = logits if self._head is Head.LETTERS else logits[:, ids]
        return letters

    def close(self) -> None:
        """Let go of the session; runs in other threads hold it until they are done."""
        self._session = None


def _open_session(library: Any, graph: str, threads: int | None) -> Any:
    options = library.SessionOptions()
    options.log_severity_level = 3  # errors only: its warnings are for who makes graphs
    options.intra_op_num_threads = threads or this_cpu().cores or 0  # 0: its own count of physical cores
    options.enable_mem_pattern = False  # questions differ in length: a plan for each costs memory, saves no time
    options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_US)
    try:
        return library.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no other base
        raise EngineUnavailableError(
            f"onnxruntime {library.__version__} cannot load {graph} ({_first_line(error)}). "
            "Install the version this release is tested with, or export the bundle again."
        ) from error


def _check_interface(session: Any, output: str, graph: str) -> None:
    found = {node.name: node.type for node in session.get_inputs()}
    outputs = {node.name: node.type for node in session.get_outputs()}
    if found != dict.fromkeys(INPUTS, "tensor(int64)") or outputs.get(output) != "tensor(float)":
        raise BundleCorruptError(
            f"{graph} has the inputs {found} and outputs {outputs}, expected int64 {', '.join(INPUTS)} and "
            f"float32 {output}. It is no rim-edge graph; export the bundle again."
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
