"""A TensorRT plan on an NVIDIA GPU. Tensors as in graph.py. Written to the API; not yet run on a GPU.

A question takes one launch: for each padded shape, upload, computation and download are recorded when it first
occurs. One thread of the engine's own makes every call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.cancellation import Cancellation, check
from rim_runtime.engines.graph import INPUTS, Graph, gpu_lost, run_failed
from rim_runtime.engines.own_thread import OwnThread, forget_frames
from rim_runtime.engines.shape_cache import ShapeCache
from rim_runtime.engines.shapes import (
    GPU_BATCH_TOKENS,
    Feed,
    Shape,
    bucket_batch,
    bucket_length,
    fill,
    one_token,
    parts,
)
from rim_runtime.errors import BundleCorruptError, EngineClosedError, EngineUnavailableError
from rim_runtime.libraries.tensorrt import TensorRt
from rim_runtime.tensorrt.cuda_stream import (
    Buffer,
    CudaStream,
    DeviceError,
    DeviceFullError,
    DeviceLostError,
    Recording,
)
from rim_runtime.tensorrt.loaded_plan import LoadedPlan, Tensor
from rim_runtime.tensorrt.plans import LoadablePlan

MOST_SHAPES = 24
"""Shapes that stay recorded; beyond that, the least recently used one is released."""


class TrtBackend:
    """One plan on the first GPU."""

    name = "trt"
    batch_tokens = GPU_BATCH_TOKENS

    def __init__(
        self,
        graph: Graph,
        library: TensorRt,
        obtain: Callable[[], LoadablePlan],
        *,
        kernels: Path | None,
        precision: Precision,
        fingerprint: str,
    ) -> None:
        """Take the GPU, then let `obtain` find or build a plan, whose hash it checks, and load it.

        `kernels` is the file for what TensorRT-RTX compiles. Raises EngineUnavailableError (the GPU refuses) and
        BundleCorruptError (it is not a rim-edge plan), and what `obtain` raises.
        """
        self.precision, self.fingerprint = precision, fingerprint
        self._graph, self._library, self._kernels = graph, library, kernels
        self.notes: tuple[str, ...] = ()
        self._stream: CudaStream | None = None
        self._plan: LoadedPlan | None = None
        self._shapes = ShapeCache(MOST_SHAPES, self._prepare, _PreparedShape.release, _needs_room)
        self._thread = OwnThread(self.name)
        try:
            self._open(obtain)
        except BaseException as error:
            self._thread.close(self._free)
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
        except DeviceLostError as error:
            raise gpu_lost(self.name, error) from error
        except Exception as error:
            raise run_failed(self.name, question_ids, error) from error
        return self._graph.letters(logits, len(question_ids))

    def close(self) -> None:
        """Free the GPU; a run in another thread finishes first."""
        self._thread.close(self._free)

    def _open(self, obtain: Callable[[], LoadablePlan]) -> None:
        """Take the GPU before a plan is built, which takes long; its bytes are gone before contexts are made."""
        try:
            self._thread.call(self._take_gpu)
        except DeviceError as error:
            raise EngineUnavailableError(
                f"trt cannot take the GPU ({error}). Look at it with: rim-edge doctor"
            ) from error
        try:
            self._thread.call(self._load, obtain())
            self._thread.call(self._warm_up)
        except DeviceError as error:
            raise _refused(error) from error

    def _take_gpu(self) -> None:
        self._stream = CudaStream()

    def _load(self, plan: LoadablePlan) -> None:
        assert self._stream is not None
        self._plan = LoadedPlan(self._library, self._stream, plan.content, self._kernels)
        self._columns = _check(self._graph, self._plan.tensors)
        self._profiles, self.notes = plan.profiles, plan.notes

    def _warm_up(self) -> None:
        """Answer in the smallest shape twice, first recording, then replaying: failures show at loading."""
        for _ in range(2):
            self._run(one_token())

    def _run(self, feed: Feed) -> Floats:
        most = self._profiles[self._profile(feed[0].shape[1])].most_batch
        return np.concatenate([self._answer(part) for part in parts(feed, most)])

    def _answer(self, feed: Feed) -> Floats:
        rows, length = feed[0].shape
        profile = self._profiles[self._profile(length)]
        padded = max(bucket_length(length, profile.most_length), profile.least_length)
        shape = Shape(bucket_batch(rows, profile.most_batch), padded)
        is_new = shape not in self._shapes
        logits = self._shapes.use(shape, lambda prepared: prepared.run(feed))
        if is_new and self._plan is not None:
            self._thread.later(self._plan.save_kernels)  # a program that is killed has them next time
        return logits[:rows]

    def _profile(self, length: int) -> int:
        """Return the first profile that takes questions of this length."""
        found = next((n for n, profile in enumerate(self._profiles) if length <= profile.most_length), None)
        if found is None:
            longest = max(profile.most_length for profile in self._profiles)
            raise DeviceError(f"its plan takes at most {longest} tokens")
        return found

    def _prepare(self, shape: Shape) -> _PreparedShape:
        assert self._stream is not None and self._plan is not None
        return _PreparedShape(self._stream, self._plan, self._profile(shape.length), shape,
                              (self._graph.output, self._columns))  # fmt: skip

    def _free(self) -> None:
        """Free everything, contexts before the plan, the plan before its memory."""
        self._shapes.clear()
        if self._plan is not None:
            self._plan.save_kernels()
            self._plan.close()
        if self._stream is not None:
            self._stream.close()


class _PreparedShape:
    """One shape: a context, buffers, and what was recorded on them."""

    def __init__(
        self, stream: CudaStream, plan: LoadedPlan, profile: int, shape: Shape, output: tuple[str, int]
    ) -> None:
        """Allocate and bind everything, or nothing. Raises DeviceError."""
        name, columns = output
        self._stream, self._plan, self._shape = stream, plan, shape
        self._context: Any = None
        self._recording: Recording | None = None
        self._has_run = False
        self._buffers: list[Buffer] = []
        try:
            for one in ((shape.batch, shape.length), (shape.batch,), (shape.batch,)):
                self._buffers.append(stream.buffer(one, np.int64))
            self._buffers.append(stream.buffer((shape.batch, columns), np.float32))
            self._context = plan.context(profile, dict(zip((*INPUTS, name), self._buffers, strict=True)))
        except BaseException:
            self.release()
            raise

    def run(self, feed: Feed) -> Floats:
        """Answer one padded batch, float32 [batch, columns]."""
        *inputs, output = self._buffers
        ids, lengths, blocks = (buffer.host for buffer in inputs)
        fill(self._shape, feed, (ids, lengths, blocks))
        if self._recording is None:
            self._enqueue()
        else:
            self._stream.launch(self._recording)
        self._stream.synchronize()
        logits: Floats = output.host.copy()
        if not self._has_run:  # recording wants one run before, and is tried once
            self._has_run = True
            if self._plan.can_be_recorded(self._context):
                self._recording = self._stream.record(self._enqueue)
        return logits

    def release(self) -> None:
        """Free everything; what a failing device refuses to free stays."""
        with suppress(DeviceError):
            self._stream.synchronize()
        self._context = None
        if self._recording is not None:
            with suppress(DeviceError):
                self._stream.forget(self._recording)
        for buffer in self._buffers:
            with suppress(DeviceError):
                self._stream.free(buffer)
        self._buffers.clear()

    def _enqueue(self) -> None:
        *inputs, output = self._buffers
        for buffer in inputs:
            self._stream.upload(buffer)
        self._plan.enqueue(self._context)
        self._stream.download(output)


def _needs_room(error: Exception) -> bool:
    return isinstance(error, DeviceFullError)


def _refused(error: DeviceError) -> EngineUnavailableError:
    """Return the error of a GPU that does not take a plan."""
    if isinstance(error, DeviceLostError):
        return EngineUnavailableError(str(gpu_lost("trt", error)))
    if isinstance(error, DeviceFullError):
        return EngineUnavailableError(
            f"The GPU's memory does not suffice for the plan ({error}). Free some of it, take a narrower "
            "precision, or use another engine."
        )
    return EngineUnavailableError(
        f"The GPU refuses the plan ({error}). Let it be built anew: rim-edge bundle untrust BUNDLE, "
        "or use another engine."
    )


def _check(graph: Graph, tensors: Mapping[str, Tensor]) -> int:
    """Return the number of output columns. Raises BundleCorruptError unless the plan has the graph's interface."""
    inputs = {name: tensor.dtype for name, tensor in tensors.items() if tensor.is_input}
    outputs = {name: tensor.dtype for name, tensor in tensors.items() if not tensor.is_input}
    graph.check_interface(inputs, outputs)
    columns = tensors[graph.output].shape[-1]
    if columns < 1:
        raise BundleCorruptError(
            f"A plan of {graph.path} does not say how many letters it answers. Build it anew."
        )
    return columns
