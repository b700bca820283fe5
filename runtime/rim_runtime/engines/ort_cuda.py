"""ONNX Runtime on an NVIDIA GPU. Tensors as in graph.py. Written to the API; not yet run on a GPU.

Questions are padded to a few shapes. Each shape has buffers on the GPU and one captured CUDA graph, with an id.
ONNX Runtime keeps captured graphs per thread, so one thread of our own makes every call. If CUDA does not load, it
falls back to the CPU without an error: providers and heavy nodes are checked, and a fallback is refused.
"""

from __future__ import annotations

import ctypes
import io
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from typing import Any, TypeVar

import numpy as np

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Precision, Variant
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.graph import INPUTS, Graph, first_line, run_failed
from rim_runtime.engines.shapes import (
    GPU_BATCH_TOKENS,
    STEPS,
    Feed,
    Shape,
    bucket_batch,
    bucket_length,
    padded,
    parts,
)
from rim_runtime.errors import BundleCorruptError, EngineClosedError, EngineUnavailableError
from rim_runtime.libraries.onnxruntime import GPU_COMMAND
from rim_runtime.machine.gpu import Gpus

PROVIDER = "CUDAExecutionProvider"
LIBRARIES = (
    ("cudart64_13.dll", "cublasLt64_13.dll", "cublas64_13.dll", "curand64_10.dll")
    if sys.platform == "win32"
    else ("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10")
)
"""Libraries that the provider links; if one is missing, it does not load."""
HEAVY = {"MatMul", "Gemm", "FusedMatMul", "Attention", "GroupQueryAttention", "MultiHeadAttention"}
"""Operators that must not run on the CPU; index arithmetic may."""
MOST_ROWS = 64
"""Most questions in one padded batch; smaller powers of two have their own shapes."""
MOST_GRAPHS = 24
"""Shapes that stay captured; beyond that, the least recently used one is released."""
TYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}
"""ONNX Runtime's names for the types we use."""

Result = TypeVar("Result")


class OrtCudaBackend:
    """One session of ONNX Runtime's CUDA provider, and the thread that makes its calls."""

    name = "ort-cuda"
    batch_tokens = GPU_BATCH_TOKENS

    def __init__(self, bundle: Bundle, variant: Variant, library: Any, found: Gpus) -> None:
        """Open a session of `library`, the onnxruntime module, on the first GPU that was found.

        Raises EngineUnavailableError (CUDA does not load, or falls back) and BundleCorruptError (the graph is not
        ours).
        """
        gpu = found.first
        assert gpu is not None
        self.precision: Precision = variant.precision
        device = f"{gpu.name} {gpu.target}, driver {found.driver}"
        self.fingerprint = f"onnxruntime {library.__version__} CUDA, {device}, {variant.name}"
        self._graph, self._longest = Graph.of(bundle, variant), bundle.manifest.limits.question_tokens
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rim-ort-cuda")
        try:
            self._session, self.notes = self._call(lambda: _open(library, self._graph, variant.precision))
        except BaseException:
            self._thread.shutdown()
            raise

    def run(self, question_ids: Ints, question_length: Ints, blocks: Ints) -> Floats:
        """Return the letters' logits, float32 [batch, letters]."""
        feed = (question_ids, question_length, blocks)
        try:
            logits = self._call(lambda: np.concatenate([self._answer(part) for part in parts(feed, MOST_ROWS)]))
        except EngineClosedError:
            raise
        except Exception as error:  # its errors have no other common base
            raise run_failed(self.name, question_ids, error) from error
        return self._graph.letters(logits, len(question_ids))

    def close(self) -> None:
        """Release the session; runs in other threads finish first."""
        with suppress(EngineClosedError):
            self._call(self._session.close)
        self._thread.shutdown()

    def _call(self, work: Callable[[], Result]) -> Result:
        """Do the work in the thread that owns the captured graphs."""
        try:
            future = self._thread.submit(work)
        except RuntimeError:  # it was shut down
            raise EngineClosedError from None
        return future.result()

    def _answer(self, feed: Feed) -> Floats:
        rows, length = feed[0].shape
        shape = Shape(bucket_batch(rows, MOST_ROWS), bucket_length(length, self._longest))
        return self._session.run(shape, padded(shape, feed))[:rows]


class _Session:
    """A session and its shapes, used by one thread only."""

    def __init__(self, library: Any, session: Any, graph: Graph, *, captures: bool) -> None:
        self._library, self._session, self._captures = library, session, captures
        self._output = graph.output
        self._columns = _columns(session, graph)
        self._shapes: OrderedDict[Shape, _Bound] = OrderedDict()
        self._last_id = 0

    def run(self, shape: Shape, feed: Feed) -> Floats:
        """Run a padded batch, float32 [batch, columns]."""
        if shape not in self._shapes:
            if len(self._shapes) >= MOST_GRAPHS:
                self._session.release_captured_graph(self._shapes.popitem(last=False)[1].graph_id)
            self._last_id += 1  # never used again: replaying another shape's graph would answer wrongly
            graph_id = self._last_id if self._captures else -1
            self._shapes[shape] = _Bound(
                self._library, self._session, feed, (self._output, self._columns), graph_id
            )
        self._shapes.move_to_end(shape)
        return self._shapes[shape].run(self._session, feed)

    def close(self) -> None:
        """Release everything."""
        self._shapes.clear()
        self._session = None


class _Bound:
    """Buffers on the GPU for one shape, bound to the session; their addresses must not change."""

    def __init__(self, library: Any, session: Any, feed: Feed, output: tuple[str, int], graph_id: int) -> None:
        name, columns = output
        on_gpu = library.OrtValue
        self.graph_id = graph_id
        self._inputs = tuple(on_gpu.ortvalue_from_numpy(value, "cuda", 0) for value in feed)
        self._output = on_gpu.ortvalue_from_shape_and_type([len(feed[0]), columns], np.float32, "cuda", 0)
        self._binding = session.io_binding()
        for tensor, value in zip(INPUTS, self._inputs, strict=True):
            self._binding.bind_ortvalue_input(tensor, value)
        self._binding.bind_ortvalue_output(name, self._output)
        self._options = library.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(graph_id))

    def run(self, session: Any, feed: Feed) -> Floats:
        for value, array in zip(self._inputs, feed, strict=True):
            value.update_inplace(array)
        session.run_with_iobinding(self._binding, self._options)
        logits: Floats = self._output.numpy()
        return logits


def missing_libraries() -> tuple[str, ...]:
    """Return which of CUDA's libraries cannot be loaded."""
    return tuple(name for name in LIBRARIES if not _loads(name))


def preload(library: Any) -> None:
    """Let ONNX Runtime load CUDA's libraries from their packages, without torch; it prints what is missing."""
    with redirect_stdout(io.StringIO()):
        library.preload_dlls(cudnn=False)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _open(library: Any, graph: Graph, precision: Precision) -> tuple[_Session, tuple[str, ...]]:
    """Open a session that captures its work, or one that does not if ONNX Runtime refuses that."""
    preload(library)
    try:
        session = _Session(library, _make(library, graph, precision, captures=True), graph, captures=True)
        _warm_up(session)
        return session, ()
    except (EngineUnavailableError, BundleCorruptError):
        raise
    except Exception as error:  # noqa: BLE001 (its errors have no other common base)
        why = first_line(error)
    plain = _Session(library, _make_or_refuse(library, graph, precision, why), graph, captures=False)
    return plain, (f"ort-cuda launches its kernels one by one: ONNX Runtime does not capture this graph ({why}).",)


def _make_or_refuse(library: Any, graph: Graph, precision: Precision, before: str) -> Any:
    try:
        return _make(library, graph, precision, captures=False)
    except EngineUnavailableError:
        raise
    except Exception as error:  # its errors have no other common base
        raise EngineUnavailableError(
            f"onnxruntime {library.__version__} cannot load {graph.path} on the GPU ({first_line(error)}; before: "
            f"{before}). Free some of its memory, or use another engine."
        ) from error


def _make(library: Any, graph: Graph, precision: Precision, *, captures: bool) -> Any:
    options = library.SessionOptions()
    options.log_severity_level = 3  # errors only: warnings are for those who make graphs
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    settings = {
        "device_id": "0",
        "enable_cuda_graph": "1" if captures else "0",
        "use_tf32": "0" if precision is Precision.FP32 else "1",  # TF32 would round fp32 operands
    }
    session = library.InferenceSession(graph.path, options, providers=[(PROVIDER, settings)], enable_fallback=0)
    _refuse_fallback(library, session)
    inputs, outputs = ({n.name: TYPES.get(n.type, n.type) for n in nodes()} for nodes in
                       (session.get_inputs, session.get_outputs))  # fmt: skip
    graph.check_interface(inputs, outputs)
    return session


def _refuse_fallback(library: Any, session: Any) -> None:
    """Raise EngineUnavailableError if the session would compute on the CPU."""
    if PROVIDER not in session.get_providers():
        missing = missing_libraries()
        what = (
            f"it misses {', '.join(missing)}" if missing else "its CUDA provider does not load, without saying why"
        )
        raise EngineUnavailableError(
            f"onnxruntime {library.__version__} would run on the CPU, not on the GPU: {what}. Run: {GPU_COMMAND}"
        )
    groups = [group for group in session.get_provider_graph_assignment_info() if group.ep_name != PROVIDER]
    heavy = sorted({node.op_type for group in groups for node in group.get_nodes()} & HEAVY)
    if heavy:
        raise EngineUnavailableError(
            f"onnxruntime {library.__version__} would run {', '.join(heavy)} on the CPU: it has no kernel "
            "for them on this GPU in this precision. Use another precision (bf16, fp16), or another engine."
        )


def _warm_up(session: _Session) -> None:
    """Capture the smallest shape and replay it once, so that failures show at loading."""
    feed = (np.zeros((1, 1), np.int64), np.ones(1, np.int64), np.zeros(1, np.int64))
    shape = Shape(1, STEPS[0][1])
    for _ in range(2):
        session.run(shape, padded(shape, feed))


def _columns(session: Any, graph: Graph) -> int:
    """Return how many columns the output has. Raises BundleCorruptError if the graph does not say."""
    columns = next(node.shape[-1] for node in session.get_outputs() if node.name == graph.output)
    if not isinstance(columns, int):
        raise BundleCorruptError(
            f"{graph.path} does not say how many letters it answers. Export the bundle again."
        )
    return columns
