"""ONNX Runtime on an NVIDIA GPU. Tensors as in graph.py. Written to the API; not yet run on a GPU.

Questions are padded to a few shapes. Each shape has buffers on the GPU and one captured CUDA graph, with an id.
ONNX Runtime keeps captured graphs per thread, so one thread of our own makes every call. If CUDA does not load, it
falls back to the CPU without an error: providers and heavy nodes are checked, and a fallback is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Precision, Variant
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.cancellation import Cancellation, check
from rim_runtime.engines.graph import INPUTS, Graph, first_line, gpu_lost, run_failed
from rim_runtime.engines.own_thread import OwnThread, forget_frames
from rim_runtime.engines.shape_cache import ShapeCache
from rim_runtime.engines.shapes import (
    GPU_BATCH_TOKENS,
    STEPS,
    Feed,
    Shape,
    bucket_batch,
    bucket_length,
    one_token,
    padded,
    parts,
)
from rim_runtime.errors import BundleCorruptError, EngineClosedError, EngineUnavailableError, RimError
from rim_runtime.libraries.cuda import LOST, load_cuda_libraries
from rim_runtime.libraries.onnxruntime import GPU_COMMAND
from rim_runtime.machine.gpu import Gpus

PROVIDER = "CUDAExecutionProvider"
HEAVY = {"MatMul", "Gemm", "FusedMatMul", "Attention", "GroupQueryAttention", "MultiHeadAttention"}
"""Operators that must not run on the CPU."""
INDEX_ARITHMETIC = {
    "Add", "And", "Cast", "Concat", "Constant", "ConstantOfShape", "CumSum", "Div", "Equal", "Expand", "Gather",
    "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min",
    "Mod", "Mul", "Not", "Or", "Range", "ReduceMax", "ReduceProd", "ReduceSum", "Reshape", "ScatterElements",
    "ScatterND", "Shape", "Size", "Slice", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
"""Operators on shapes and positions, which ONNX Runtime puts on the CPU on purpose. Any other is named."""
MOST_ROWS = 64
"""Most questions in one padded batch; smaller powers of two have their own shapes."""
MOST_SHAPES = 24
"""Shapes that stay captured; beyond that, the least recently used one is released."""
TYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}
"""ONNX Runtime's names for the types we use."""
_ERROR_CODE = re.compile(r"CUDA (?:failure|error) (\d+)")
_FULL = re.compile(
    r"out of memory|failed to allocate|smaller than requested bytes|alloc_failed|CUDA (?:failure|error) 2\b",
    re.IGNORECASE,
)


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
        self._thread = OwnThread(self.name)
        try:
            self._session, self.notes = self._thread.call(_open, library, self._graph, variant.precision)
        except BaseException as error:
            self._thread.close(lambda: None)
            forget_frames(error)
            raise

    def run(
        self, question_ids: Ints, question_length: Ints, blocks: Ints, cancel: Cancellation | None = None
    ) -> Floats:
        """Return the letters' logits, float32 [batch, letters]; a batch that has begun is not cancelled."""
        check(cancel)
        try:
            logits = self._thread.call(self._run, (question_ids, question_length, blocks))
        except EngineClosedError:
            raise
        except Exception as error:  # its errors have no other common base
            raise (
                gpu_lost(self.name, error) if _is_lost(error) else run_failed(self.name, question_ids, error)
            ) from error
        return self._graph.letters(logits, len(question_ids))

    def close(self) -> None:
        """Release the session; runs in other threads finish first."""
        self._thread.close(self._session.close)

    def _run(self, feed: Feed) -> Floats:
        return np.concatenate([self._answer(part) for part in parts(feed, MOST_ROWS)])

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
        self._shapes = ShapeCache(MOST_SHAPES, self._bind, self._release, _needs_room)
        self._last_id = 0

    def run(self, shape: Shape, feed: Feed) -> Floats:
        """Run a padded batch, float32 [batch, columns]."""
        return self._shapes.use(shape, lambda bound: bound.run(self._session, feed))

    def close(self) -> None:
        """Release everything."""
        self._shapes.clear()
        self._session = None

    def _bind(self, shape: Shape) -> _Bound:
        self._last_id += 1  # never used again: replaying another shape's graph would answer wrongly
        graph_id = self._last_id if self._captures else -1
        return _Bound(self._library, self._session, shape, (self._output, self._columns), graph_id)

    def _release(self, bound: _Bound) -> None:
        if self._captures:
            with suppress(Exception):  # a GPU that failed refuses this too
                self._session.release_captured_graph(bound.graph_id)


class _Bound:
    """Buffers on the GPU for one shape, bound to the session; their addresses must not change."""

    def __init__(self, library: Any, session: Any, shape: Shape, output: tuple[str, int], graph_id: int) -> None:
        name, columns = output
        on_gpu = library.OrtValue
        self.graph_id = graph_id
        self._inputs = tuple(on_gpu.ortvalue_from_numpy(value, "cuda", 0) for value in padded(shape, one_token()))
        self._output = on_gpu.ortvalue_from_shape_and_type([shape.batch, columns], np.float32, "cuda", 0)
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


def _open(library: Any, graph: Graph, precision: Precision) -> tuple[_Session, tuple[str, ...]]:
    """Open a session that captures its work, or one that does not if ONNX Runtime refuses that."""
    missing = load_cuda_libraries()
    try:
        return _capturing(library, graph, precision, missing)
    except RimError:
        raise
    except Exception as error:  # its errors have no other common base
        if _is_lost(error):
            raise EngineUnavailableError(str(gpu_lost("ort-cuda", error))) from error
        why = first_line(error)
        forget_frames(error)  # the first session goes before the second comes: the GPU may not hold two
    plain, notes = _make_or_refuse(library, graph, precision, (missing, why))
    told = f"ort-cuda launches its kernels one by one: ONNX Runtime does not capture this graph ({why})."
    return _Session(library, plain, graph, captures=False), (told, *notes)


def _capturing(
    library: Any, graph: Graph, precision: Precision, missing: tuple[str, ...]
) -> tuple[_Session, tuple[str, ...]]:
    made, notes = _make(library, graph, precision, missing, captures=True)
    session = _Session(library, made, graph, captures=True)
    try:
        _warm_up(session)
    except BaseException:
        session.close()
        raise
    return session, notes


def _make_or_refuse(
    library: Any, graph: Graph, precision: Precision, before: tuple[tuple[str, ...], str]
) -> tuple[Any, tuple[str, ...]]:
    missing, why = before
    try:
        return _make(library, graph, precision, missing, captures=False)
    except EngineUnavailableError:
        raise
    except Exception as error:  # its errors have no other common base
        raise EngineUnavailableError(
            f"onnxruntime {library.__version__} cannot load {graph.path} on the GPU ({first_line(error)}; before: "
            f"{why}). Free some of its memory, or use another engine."
        ) from error


def _make(
    library: Any, graph: Graph, precision: Precision, missing: tuple[str, ...], *, captures: bool
) -> tuple[Any, tuple[str, ...]]:
    """Return a session that computes on the GPU, and what it nevertheless computes on the CPU."""
    options = library.SessionOptions()
    options.log_severity_level = 4  # its exceptions carry the text; warnings are for those who make graphs
    options.intra_op_num_threads = 1  # its threads would spin for work that the GPU does
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    settings = {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",  # its default doubles what is asked for
        "enable_cuda_graph": "1" if captures else "0",
        "use_tf32": "0" if precision is Precision.FP32 else "1",  # TF32 would round fp32 operands
    }
    session = library.InferenceSession(graph.path, options, providers=[(PROVIDER, settings)], enable_fallback=0)
    notes = _refuse_fallback(library, session, missing)
    inputs, outputs = ({n.name: TYPES.get(n.type, n.type) for n in nodes()} for nodes in
                       (session.get_inputs, session.get_outputs))  # fmt: skip
    graph.check_interface(inputs, outputs)
    return session, notes


def _refuse_fallback(library: Any, session: Any, missing: tuple[str, ...]) -> tuple[str, ...]:
    """Raise EngineUnavailableError if the session would compute on the CPU; return what else it puts there."""
    if PROVIDER not in session.get_providers():
        what = (
            f"it misses {', '.join(missing)}" if missing else "its CUDA provider does not load, without saying why"
        )
        raise EngineUnavailableError(
            f"onnxruntime {library.__version__} would run on the CPU, not on the GPU: {what}. Run: {GPU_COMMAND}"
        )
    groups = [group for group in session.get_provider_graph_assignment_info() if group.ep_name != PROVIDER]
    found = Counter(node.op_type for group in groups for node in group.get_nodes())
    heavy = sorted(found.keys() & HEAVY)
    if heavy:
        raise EngineUnavailableError(
            f"onnxruntime {library.__version__} would run {', '.join(heavy)} on the CPU: it has no kernel "
            "for them on this GPU in this precision. Use another precision (bf16, fp16), or another engine."
        )
    slow = [f"{count} {name}" for name, count in sorted(found.items()) if name not in INDEX_ARITHMETIC]
    if not slow:
        return ()
    return (
        f"ort-cuda computes {', '.join(slow)} on the CPU, with a copy there and back each: onnxruntime "
        f"{library.__version__} has no kernel for them on this GPU in this precision. Answers take longer.",
    )


def _is_lost(error: Exception) -> bool:
    """Whether an error says that CUDA refuses all further work of this process."""
    code = _ERROR_CODE.search(str(error))
    return code is not None and int(code[1]) in LOST


def _needs_room(error: Exception) -> bool:
    return _FULL.search(str(error)) is not None


def _warm_up(session: _Session) -> None:
    """Capture the smallest shape and replay it once, so that failures show at loading."""
    shape = Shape(1, STEPS[0][1])
    for _ in range(2):
        session.run(shape, padded(shape, one_token()))


def _columns(session: Any, graph: Graph) -> int:
    """Return how many columns the output has. Raises BundleCorruptError if the graph does not say."""
    columns = next(node.shape[-1] for node in session.get_outputs() if node.name == graph.output)
    if not isinstance(columns, int):
        raise BundleCorruptError(
            f"{graph.path} does not say how many letters it answers. Export the bundle again."
        )
    return columns
