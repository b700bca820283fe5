"""OpenVINO on the CPU. Tensors as in graph.py.

Graphs are compiled at every load: a blob that OpenVINO 2026.4 had saved and loaded again answered differently.
"""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import GraphFiles, read_graph
from rim_runtime.bundle.manifest import Precision, Variant
from rim_runtime.engines.backend import MANY, EngineOptions, Floats, Ints
from rim_runtime.engines.cancellation import Cancellation, check, when_cancelled
from rim_runtime.engines.external_weights import weights_are_elsewhere, whole_graph
from rim_runtime.engines.graph import CPU_BATCH_TOKENS, INPUTS, Graph, first_line, forked, run_failed
from rim_runtime.errors import CancelledError, EngineClosedError, EngineUnavailableError
from rim_runtime.libraries.openvino import import_openvino
from rim_runtime.machine.cpu import this_cpu
from rim_runtime.machine.memory import give_back

SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",  # by default it computes in bf16 if the processor can
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",  # weight-only stays weight-only: activations are not rounded
    "ENABLE_CPU_PINNING": "NO",  # the choice of cores belongs to the host program
}
"""How every graph is compiled: exactly what the graph says is computed."""
TYPES = {"i64": "int64", "f32": "float32"}
"""OpenVINO's names for the types we use."""


class OpenVinoBackend:
    """A graph compiled by OpenVINO's CPU plugin. Every call has its own infer request."""

    name = "openvino"
    batch_tokens = CPU_BATCH_TOKENS

    def __init__(
        self, bundle: Bundle, variant: Variant, use: EngineOptions = MANY, files: GraphFiles | None = None
    ) -> None:
        """Compile a variant; without `files`, what is in the bundle's folder is taken unchecked.

        Raises MissingExtraError, EngineUnavailableError (the graph cannot be compiled), BundleCorruptError (the
        graph is not ours) and CancelledError (before it compiles: OpenVINO cannot be stopped while it does).
        """
        library = import_openvino()
        check(use.cancel)
        self._process = os.getpid()
        self.precision: Precision = variant.precision
        self.fingerprint = f"openvino {library.__version__} CPU, {this_cpu().fingerprint}, {variant.name}"
        self._graph = Graph.of(bundle, variant)
        self._compiled: Any = _compile(library, files or read_graph(bundle, variant), use.threads)
        self._graph.check_interface(_types(self._compiled.inputs), _types(self._compiled.outputs))

    def run(
        self, question_ids: Ints, question_length: Ints, blocks: Ints, cancel: Cancellation | None = None
    ) -> Floats:
        """Return the letters' logits, float32 [batch, letters]; `cancel` ends it as soon as OpenVINO can.

        Raises EngineFailedError in a forked process: OpenVINO would wait for threads that did not follow.
        """
        compiled = self._compiled
        if compiled is None:
            raise EngineClosedError
        if os.getpid() != self._process:
            raise forked(self.name)
        feed = dict(zip(INPUTS, (question_ids, question_length, blocks), strict=True))
        try:
            request = compiled.create_infer_request()
            with when_cancelled(cancel, request.cancel):
                logits = request.infer(feed)[self._graph.output]
        except CancelledError:
            raise
        except Exception as error:  # its errors have no other common base
            check(cancel)
            raise run_failed(self.name, question_ids, error) from error
        finally:
            if question_ids.size > CPU_BATCH_TOKENS:
                give_back()
        return self._graph.letters(logits, len(question_ids))

    def close(self) -> None:
        """Release the graph; runs in other threads keep it until they finish."""
        self._compiled = None


def _compile(library: Any, files: GraphFiles, threads: int | None) -> Any:
    if weights_are_elsewhere(files):
        raise EngineUnavailableError(
            f"openvino reads large weights through no links: {files.location} leads to {files.data.path}, "
            f"expected a file beside {files.graph.path}. Copy the bundle without links, or use the engine ort-cpu."
        )
    cores = threads or this_cpu().cores
    settings = SETTINGS | ({"INFERENCE_NUM_THREADS": str(cores)} if cores else {})
    try:
        core = library.Core()
        graph = whole_graph(files)
        model = core.read_model(io.BytesIO(graph) if isinstance(graph, bytes) else graph)
        _repeat_key_heads(library, model)
        return core.compile_model(model, "CPU", settings)
    except Exception as error:  # its errors have no other common base
        raise EngineUnavailableError(
            f"openvino {library.__version__} cannot load {files.graph.path} ({first_line(error)}). "
            "Use another engine or precision, or install the version this release is tested with."
        ) from error


def _repeat_key_heads(library: Any, model: Any) -> None:
    """Give every query head its own key head and value head.

    OpenVINO 2026.4 accepts ONNX's Attention with fewer key heads than query heads, but cannot run it.
    """
    ops = library.opset13
    first, heads_axis = ops.constant(np.int64(0)), ops.constant(np.int64(1))
    for attention in model.get_ops():
        if attention.get_type_name() != "ScaledDotProductAttention":
            continue
        query, *others = (attention.input_value(slot) for slot in range(3))
        heads, key_heads = (
            ops.gather(ops.shape_of(value, output_type="i64"), heads_axis, first) for value in (query, others[0])
        )
        query_heads = ops.range(first, heads, heads_axis, output_type="i64")
        used = ops.divide(query_heads, ops.divide(heads, key_heads))  # the key head of each query head
        for slot, value in enumerate(others, start=1):
            attention.input(slot).replace_source_output(ops.gather(value, used, heads_axis).output(0))


def _types(ports: Any) -> dict[str, str]:
    names = {port.get_any_name(): port.get_element_type().get_type_name() for port in ports}
    return {name: TYPES.get(kind, kind) for name, kind in names.items()}
