"""ONNX Runtime on the CPU. Tensors as in graph.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import GraphFiles, read_graph
from rim_runtime.bundle.manifest import Precision, Variant
from rim_runtime.engines.backend import MANY, Answers, EngineOptions, Floats, Ints
from rim_runtime.engines.cancellation import Cancellation, check, when_cancelled
from rim_runtime.engines.external_weights import add_weights
from rim_runtime.engines.graph import CPU_BATCH_TOKENS, INPUTS, Graph, first_line, run_failed
from rim_runtime.errors import CancelledError, EngineClosedError, EngineUnavailableError
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.machine.cpu import this_cpu
from rim_runtime.machine.memory import give_back

SPIN_US = "100"
"""How long idle worker threads spin, in microseconds: long enough for the gaps between operators. On free cores
this is as fast as ONNX Runtime's default; if other programs use them too, about 25 % faster. Nothing spins after
an answer."""
SESSION_ENTRIES: Mapping[Precision, Mapping[str, str]] = {
    Precision.FP8: {
        "session.disable_quant_qdq": "1",
        "optimization.disable_specified_optimizers": "ConstantFolding",
    },
    Precision.INT4: {"session.qdq_matmulnbits_accuracy_level": "1"},
}
"""Session options by precision. Without these, fp8 products would be fused to int8 ones and then refused, and all
weights would be widened to fp32 at load and stay so, at four times their size; and activations of portable int4
would be rounded to int8, which its graph does not say. The `ort` dialect says itself what it rounds."""
ONE_ANSWER: Mapping[Precision, Mapping[str, str]] = {
    Precision.INT8: {"session.disable_prepacking": "1"},
}
"""Session options for one answer alone: the start is 1.0 s faster, the answer 0.07 s slower (1.7B, two cores).
int4 is left out, because it takes 4.5 times as long without prepacking."""
SHRINK = ("memory.enable_memory_arena_shrinkage", "cpu:0")
"""Run option for more tokens than a usual batch has: the arena gives back the memory they took."""
TYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}
"""ONNX Runtime's names for the types we use."""


class OrtCpuBackend:
    """A session of ONNX Runtime's CPU provider."""

    name = "ort-cpu"
    batch_tokens = CPU_BATCH_TOKENS

    def __init__(
        self, bundle: Bundle, variant: Variant, use: EngineOptions = MANY, files: GraphFiles | None = None
    ) -> None:
        """Open a session on a variant; without `files`, what is in the bundle's folder is taken unchecked.

        Raises MissingExtraError, EngineUnavailableError (the session cannot be made), BundleCorruptError (the
        graph is not ours) and CancelledError.
        """
        library = import_onnxruntime()
        self.precision: Precision = variant.precision
        entries = session_entries(library, variant.precision, use.answers)
        said = ", ".join([variant.name, *(f"{key}={value}" for key, value in entries.items())])
        self.fingerprint = f"onnxruntime {library.__version__} CPU, {this_cpu().fingerprint}, {said}"
        self._graph = Graph.of(bundle, variant)
        files = files or read_graph(bundle, variant)
        self._session: Any = open_session(library, files, use, entries)
        self._new_run: Callable[[], Any] = library.RunOptions
        self._graph.check_interface(*map(types_of, (self._session.get_inputs(), self._session.get_outputs())))

    def run(
        self, question_ids: Ints, question_length: Ints, blocks: Ints, cancel: Cancellation | None = None
    ) -> Floats:
        """Return the letters' logits, float32 [batch, letters]; `cancel` ends it at the next operator."""
        session = self._session
        if session is None:
            raise EngineClosedError
        feed = dict(zip(INPUTS, (question_ids, question_length, blocks), strict=True))
        try:
            with run_options(self._new_run, question_ids.size, cancel) as options:
                (logits,) = session.run([self._graph.output], feed, options)
        except CancelledError:
            raise
        except Exception as error:  # its errors have no other common base
            check(cancel)
            raise run_failed(self.name, question_ids, error) from error
        return self._graph.letters(logits, len(question_ids))

    def close(self) -> None:
        """Release the session; runs in other threads keep it until they finish."""
        self._session = None


@contextmanager
def run_options(new_run: Callable[[], Any], tokens: int, cancel: Cancellation | None) -> Iterator[Any]:
    """Give the options of a run on so many tokens: `cancel` ends it, and of a long one no memory is kept."""
    options = new_run()
    is_long = tokens > CPU_BATCH_TOKENS
    if is_long:
        options.add_run_config_entry(*SHRINK)
    try:
        with when_cancelled(cancel, lambda: setattr(options, "terminate", True)):
            yield options
    finally:
        if is_long:
            give_back()


def session_entries(library: Any, precision: Precision, answers: Answers) -> dict[str, str]:
    """Return the session options that change how products are computed."""
    entries = dict(SESSION_ENTRIES.get(precision, {}))
    if precision is Precision.INT8 and saturates(library):
        entries[SAFE_PRODUCTS] = "1"
    if answers is Answers.ONE:
        entries |= ONE_ANSWER.get(precision, {})
    return entries


def open_session(library: Any, files: GraphFiles, use: EngineOptions, entries: Mapping[str, str]) -> Any:
    """Return a session on a graph of whatever role. Raises EngineUnavailableError and CancelledError."""
    options = _session_options(library, use)
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return _open(library, options, lambda: add_weights(options, files), files.graph.path, use)


def open_whole(library: Any, model: bytes, path: Path, use: EngineOptions) -> Any:
    """Return a session on a graph that holds its weights, read from `path`. Raises what `open_session` does."""
    return _open(library, _session_options(library, use), lambda: model, path, use)


def _session_options(library: Any, use: EngineOptions) -> Any:
    options = library.SessionOptions()
    options.log_severity_level = 4  # fatal only: its errors reach us as exceptions, and stderr is the host's
    options.intra_op_num_threads = use.threads or this_cpu().cores or 0  # 0: its own count of physical cores
    options.enable_mem_pattern = False  # lengths differ: a plan for each costs memory and saves no time
    options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_US)
    return options


def _open(library: Any, options: Any, model: Callable[[], bytes], path: Path, use: EngineOptions) -> Any:
    try:
        content = model()
        with when_cancelled(use.cancel, lambda: options.set_load_cancellation_flag(True)):
            return library.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except CancelledError:
        raise
    except Exception as error:  # its errors have no other common base
        check(use.cancel)
        raise EngineUnavailableError(
            f"onnxruntime {library.__version__} cannot load {path} ({first_line(error)}). "
            "Install the version this release is tested with, or export the bundle again."
        ) from error


def types_of(nodes: Any) -> dict[str, str]:
    """Return the types of a session's inputs or outputs by name, as numpy calls them."""
    return {node.name: TYPES.get(node.type, node.type) for node in nodes}


SAFE_PRODUCTS = "session.x64quantprecision"
"""The session option for int8 products that do not saturate."""
EXACT = {"avx512_vnni", "avx_vnni", "amx_int8"}
"""Processor features that make products exact: with one of them, nothing needs to be tried."""
_PRODUCT = bytes.fromhex(
    "08083a620a180a01610a0162120179220d4d61744d756c496e74656765721201675a150a016112100a0e0802120a0a0312016d0a0312016b"
    "5a150a016212100a0e0803120a0a0312016b0a0312016e62150a017912100a0e0806120a0a0312016d0a0312016e42040a00100a"
)
"""An ONNX graph: y = MatMulInteger(a uint8 [m, k], b int8 [k, n]), int32. A test builds and compares it."""


def saturates(library: Any) -> bool:
    """Whether a product of the largest int8 numbers is too small; `library` is the onnxruntime module."""
    if EXACT & set(this_cpu().features or ()):
        return False
    options = library.SessionOptions()
    options.intra_op_num_threads = 1
    session = library.InferenceSession(_PRODUCT, options, providers=["CPUExecutionProvider"])
    largest, inputs = (255, 127), 8
    feed = {"a": np.full((4, inputs), largest[0], np.uint8), "b": np.full((inputs, 16), largest[1], np.int8)}
    (sums,) = session.run(None, feed)
    return bool((sums != largest[0] * largest[1] * inputs).any())
