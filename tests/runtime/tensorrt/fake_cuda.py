"""A stand-in for cuda.bindings.runtime that moves our own memory and refuses what a GPU would not forgive.

It has a memory limit, a current device and a last error for each thread, errors that stay for the whole process,
and captures that are spoilt by calls that CUDA does not allow in them.
"""

from __future__ import annotations

import ctypes
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

FULL, NOT_CAPTURABLE, SPOILT, LOST = 2, 900, 901, 700
TEXTS = {
    FULL: b"out of memory",
    NOT_CAPTURABLE: b"operation not permitted when stream is capturing",
    SPOILT: b"operation failed due to a previous error during capture",
    LOST: b"an illegal memory access was encountered",
    801: b"operation not supported",
}
TO_DEVICE, TO_HOST = 1, 2
SPOILS_CAPTURE = {"Malloc", "HostAlloc", "Free", "FreeHost", "StreamSynchronize", "StreamQuery", "StreamDestroy"}
"""Calls that CUDA does not allow while a stream captures in this thread."""


class RefusedError(Exception):
    """A call that gives an error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Stream:
    """A stream belongs to the device that was current when it was made."""

    def __init__(self, number: int, device: int) -> None:
        self.number, self.device = number, device

    def __int__(self) -> int:
        return self.number


class Graph(list[Callable[[], object]]):
    """A captured graph, or an executable one."""


@dataclass
class FakeCuda:
    """Every call gives a tuple that begins with its error."""

    limit: int = 1_000_000_000
    """Bytes of the device's memory."""
    used: int = 0
    """Bytes in use: allocations, weights, and what contexts cost."""
    peak: int = 0
    host: dict[int, Any] = field(default_factory=dict)
    device: dict[int, Any] = field(default_factory=dict)
    streams: set[Stream] = field(default_factory=set)
    graphs: list[Graph] = field(default_factory=list)
    executables: list[Graph] = field(default_factory=list)
    queue: list[Callable[[], object]] = field(default_factory=list)
    capture: Graph | None = None
    spoilt: bool = False
    lost: bool = False
    current: dict[int, int] = field(default_factory=dict)
    """The device of each thread that chose one."""
    last_errors: dict[int, int] = field(default_factory=dict)
    """The error of each thread that nobody has asked for yet."""
    calls: Counter[str] = field(default_factory=Counter)
    threads: set[int] = field(default_factory=set)
    """Threads that called."""
    fails: dict[str, int] = field(default_factory=dict)
    """Errors by call, as in {"Malloc": 2}; a LOST one stays for all calls."""
    raises: dict[str, Exception] = field(default_factory=dict)
    """What the binding itself raises, by call."""

    cudaStreamNonBlocking, cudaHostAllocDefault = 1, 0  # noqa: N815 (its names)
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=TO_DEVICE, cudaMemcpyDeviceToHost=TO_HOST)  # noqa: N815
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, ...]]:
        if not name.startswith("cuda"):
            raise AttributeError(name)
        short = name.removeprefix("cuda")
        work = getattr(self, "_" + short)

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls[short] += 1
            if short == "GetErrorString":
                return (0, TEXTS[int(arguments[0])])
            self.threads.add(threading.get_ident())
            if short in self.raises:
                raise self.raises[short]
            try:
                self._refuse(short)
                given = work(*arguments)
            except RefusedError as refused:
                self.lost |= refused.code == LOST
                self.last_errors[threading.get_ident()] = refused.code
                return (refused.code, None)
            return (0,) if given is None else (0, given)

        call.__name__ = name
        return call

    @property
    def is_clean(self) -> bool:
        """Whether everything was given back."""
        return not (self.host or self.device or self.graphs or self.executables or self.streams or self.used)

    def take(self, size: int) -> bool:
        """Use memory of the device; False where there is not enough."""
        if self.used + size > self.limit:
            return False
        self.used += size
        self.peak = max(self.peak, self.used)
        return True

    def push(self, step: Callable[[], object]) -> None:
        (self.queue if self.capture is None else self.capture).append(step)

    def take_last_error(self) -> int:
        """Return and forget this thread's last error, as any library does that checks its kernels."""
        return self.last_errors.pop(threading.get_ident(), 0)

    def _refuse(self, name: str) -> None:
        if self.lost and name != "GetLastError":
            raise RefusedError(LOST)
        if self.capture is not None and name in SPOILS_CAPTURE:
            self.spoilt = True
            raise RefusedError(NOT_CAPTURABLE)
        if name in self.fails:
            if name == "StreamEndCapture":  # it ends the capture even where it fails
                self.capture = None
            raise RefusedError(self.fails[name])

    def _GetErrorString(self, error: int) -> bytes:  # noqa: N802 (their names, below too)
        return TEXTS[error]

    def _GetLastError(self) -> int | None:  # noqa: N802
        self.take_last_error()
        return None

    def _SetDevice(self, number: int) -> None:  # noqa: N802
        self.current[threading.get_ident()] = number

    def _StreamCreateWithFlags(self, flags: int) -> Stream:  # noqa: N802
        stream = Stream(77, self.current.get(threading.get_ident(), 0))
        self.streams.add(stream)
        return stream

    def _StreamDestroy(self, stream: Stream) -> None:  # noqa: N802
        self.streams.remove(stream)

    def _StreamQuery(self, stream: Stream) -> None:  # noqa: N802
        self._check(stream)

    def _HostAlloc(self, size: int, flags: int) -> int:  # noqa: N802
        return _allocate(self.host, size)

    def _Malloc(self, size: int) -> int:  # noqa: N802
        if not self.take(size):
            raise RefusedError(FULL)
        return _allocate(self.device, size)

    def _FreeHost(self, address: int) -> None:  # noqa: N802
        del self.host[address]

    def _Free(self, address: int) -> None:  # noqa: N802
        self.used -= len(self.device.pop(address))

    def _MemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: Stream) -> None:  # noqa: N802
        self._check(stream)
        sides = {TO_DEVICE: (self.device, self.host), TO_HOST: (self.host, self.device)}[kind]
        assert [len(side[address]) for side, address in zip(sides, (to, source), strict=True)] == [size, size]
        self.push(lambda: ctypes.memmove(to, source, size))

    def _StreamSynchronize(self, stream: Stream) -> None:  # noqa: N802
        self._check(stream)
        for step in self.queue:
            step()
        self.queue.clear()

    def _StreamBeginCapture(self, stream: Stream, mode: int) -> None:  # noqa: N802
        self._check(stream)
        assert not self.queue and self.capture is None
        assert mode == self.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.capture, self.spoilt = Graph(), False

    def _StreamEndCapture(self, stream: Stream) -> Graph:  # noqa: N802
        assert self.capture is not None
        graph, self.capture = self.capture, None
        if self.spoilt:
            raise RefusedError(SPOILT)
        self.graphs.append(graph)
        return graph

    def _GraphInstantiate(self, graph: Graph, flags: int) -> Graph:  # noqa: N802
        self.executables.append(Graph(graph))
        return self.executables[-1]

    def _GraphDestroy(self, graph: Graph) -> None:  # noqa: N802
        _remove(self.graphs, graph)

    def _GraphExecDestroy(self, launchable: Graph) -> None:  # noqa: N802
        _remove(self.executables, launchable)

    def _GraphLaunch(self, launchable: Graph, stream: Stream) -> None:  # noqa: N802
        self._check(stream)
        assert any(one is launchable for one in self.executables), "launched after it was destroyed"
        self.queue.extend(launchable)

    def _check(self, stream: Stream) -> None:
        """A stream works only in threads whose current device is its own."""
        assert stream in self.streams
        assert self.current.get(threading.get_ident(), 0) == stream.device, (
            "another device is current in this thread"
        )


def _allocate(side: dict[int, Any], size: int) -> int:
    memory = (ctypes.c_byte * size)()
    side[ctypes.addressof(memory)] = memory
    return ctypes.addressof(memory)


def _remove(graphs: list[Graph], graph: Graph) -> None:
    """Graphs are compared by identity: two empty ones are two."""
    number = next(number for number, one in enumerate(graphs) if one is graph)
    del graphs[number]
