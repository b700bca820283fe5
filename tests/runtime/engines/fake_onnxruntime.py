"""A stand-in for onnxruntime-gpu that answers with the real library's CPU session and checks how it is used.

Sessions hold weights and shapes hold memory: both are counted while they are alive, and limited.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from rim_runtime.engines.graph import INPUTS
from rim_runtime.engines.ort_cuda import PROVIDER
from rim_runtime.libraries.onnxruntime import import_onnxruntime


@dataclass
class Node:
    op_type: str


@dataclass
class Group:
    ep_name: str
    nodes: list[Node]

    def get_nodes(self) -> list[Node]:
        return self.nodes


@dataclass(eq=False)
class Value:
    """An OrtValue: its address stays, its content changes in place."""

    array: np.ndarray
    device: str

    @classmethod
    def ortvalue_from_numpy(cls, array: np.ndarray, device: str, index: int) -> Value:
        assert (device, index) == ("cuda", 0)
        assert array.dtype == np.int64
        return cls(array.copy(), device)

    @classmethod
    def ortvalue_from_shape_and_type(cls, shape: list[int], dtype: type, device: str, index: int) -> Value:
        assert (device, index, dtype) == ("cuda", 0, np.float32)
        return cls(np.full(shape, np.nan, dtype), device)

    def update_inplace(self, array: np.ndarray) -> None:
        assert array.shape == self.array.shape and array.dtype == self.array.dtype
        np.copyto(self.array, array)

    def numpy(self) -> np.ndarray:
        return self.array.copy()


@dataclass(eq=False)
class Binding:
    inputs: dict[str, Value] = field(default_factory=dict)
    outputs: dict[str, Value] = field(default_factory=dict)

    def bind_ortvalue_input(self, name: str, value: Value) -> None:
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: Value) -> None:
        self.outputs[name] = value


@dataclass
class Options:
    entries: dict[str, str] = field(default_factory=dict)
    log_severity_level: int = 2
    intra_op_num_threads: int = 0

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value

    add_run_config_entry = add_session_config_entry


class FakeLibrary:
    """onnxruntime-gpu as far as the engine uses it; what goes wrong is chosen by its attributes."""

    __version__ = "1.31.1"
    SessionOptions = RunOptions = Options

    def __init__(
        self,
        *,
        falls_back: bool = False,
        capture_trouble: str = "",
        on_cpu: Sequence[str] = (),
        broken: str = "",
        memory: int = 10,
    ) -> None:
        self.real = import_onnxruntime()
        self.falls_back, self.capture_trouble = falls_back, capture_trouble
        self.on_cpu, self.broken, self.memory = on_cpu, broken, memory
        self.sessions, self.most_sessions, self.bound = 0, 0, 0  # alive, at once, and shapes with buffers
        self.settings: list[dict[str, str]] = []
        self.captured: dict[str, tuple[weakref.ref[Binding], dict[str, tuple[int, ...]]]] = {}
        self.runs: list[str] = []
        self.released: list[int] = []
        self.options: list[Options] = []
        self.run_trouble = ""
        self.most_bound = 1_000
        self.full = "Failed to allocate memory for requested buffer of size 256"
        self.OrtValue = bound_values(self)
        self.threads: set[int] = set()

    def InferenceSession(  # noqa: N802 (its name)
        self, path: str, options: Options, *, providers: list[tuple[str, dict[str, str]]], enable_fallback: int
    ) -> FakeSession:
        assert not enable_fallback
        ((name, settings),) = providers
        assert name == PROVIDER
        self.settings.append(settings)
        self.options.append(options)
        if self.broken:
            raise RuntimeError(self.broken)
        if self.sessions >= self.memory:
            raise RuntimeError("CUDA failure 2: out of memory")
        return FakeSession(self, path)


class FakeSession:
    def __init__(self, library: FakeLibrary, path: str) -> None:
        self.library = library
        self.cpu = library.real.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.get_inputs, self.get_outputs = self.cpu.get_inputs, self.cpu.get_outputs
        self.captures = library.settings[-1]["enable_cuda_graph"] == "1"
        library.sessions += 1
        library.most_sessions = max(library.sessions, library.most_sessions)
        weakref.finalize(self, _one_session_less, library)

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"] if self.library.falls_back else [PROVIDER, "CPUExecutionProvider"]

    def get_provider_graph_assignment_info(self) -> list[Group]:
        on_cpu = Group("CPUExecutionProvider", [Node("Shape"), *map(Node, self.library.on_cpu)])
        return [on_cpu, Group(PROVIDER, [Node("MatMul")])]

    def io_binding(self) -> Binding:
        return Binding()

    def release_captured_graph(self, graph_id: int) -> None:
        self.library.released.append(graph_id)

    def run_with_iobinding(self, binding: Binding, options: Options) -> None:
        library = self.library
        library.threads.add(threading.get_ident())
        if library.run_trouble or (self.captures and library.capture_trouble):
            raise RuntimeError(library.run_trouble or library.capture_trouble)
        graph_id = options.entries["gpu_graph_id"]
        library.runs.append(graph_id)
        shapes = {name: value.array.shape for name, value in binding.inputs.items()}
        if self.captures:
            assert int(graph_id) > 0, "0 is ONNX Runtime's own"
            known = library.captured.setdefault(graph_id, (weakref.ref(binding), shapes))
            assert known == (weakref.ref(binding), shapes), "replaying another shape's graph would answer wrongly"
        else:
            assert graph_id == "-1"
        assert set(binding.inputs) == set(INPUTS)
        ((name, output),) = binding.outputs.items()
        (logits,) = self.cpu.run([name], {key: value.array for key, value in binding.inputs.items()})
        np.copyto(output.array, logits)


def _one_session_less(library: FakeLibrary) -> None:
    library.sessions -= 1


def bound_values(library: FakeLibrary) -> type[Value]:
    """Return a class of values on a GPU that has room for so many shapes."""

    class Bound(Value):
        @classmethod
        def ortvalue_from_shape_and_type(cls, shape: list[int], dtype: type, device: str, index: int) -> Value:
            if library.bound >= library.most_bound:
                raise RuntimeError(library.full)
            value = super().ortvalue_from_shape_and_type(shape, dtype, device, index)
            library.bound += 1
            weakref.finalize(value, _one_shape_less, library)
            return value

    return Bound


def _one_shape_less(library: FakeLibrary) -> None:
    library.bound -= 1
