"""A TensorRT plan on an NVIDIA GPU. Tensors as in graph.py. Written to the API; not yet run on a GPU.

A question takes one launch: for each padded shape, upload, computation and download are recorded when it first
occurs. All calls share one stream of the device, so one lock guards it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rim_runtime.bundle.manifest import Precision, Profile
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.graph import INPUTS, Graph, run_failed
from rim_runtime.engines.shapes import GPU_BATCH_TOKENS, Feed, Shape, bucket_batch, bucket_length, fill, parts
from rim_runtime.errors import BundleCorruptError, EngineClosedError, EngineUnavailableError
from rim_runtime.tensorrt.device import Device, DeviceError, Tensor

MOST_BUCKETS = 24
"""Shapes that stay recorded; beyond that, the least recently used one is released."""


class TrtBackend:
    """One plan on one device."""

    name = "trt"
    batch_tokens = GPU_BATCH_TOKENS

    def __init__(
        self,
        graph: Graph,
        plan: bytes,
        profiles: Sequence[Profile],
        device: Device,
        *,
        precision: Precision,
        fingerprint: str,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Load a plan whose hash was checked; `profiles` are the plan's, in its order.

        The backend owns the device from then on. Raises EngineUnavailableError (the device refuses the plan) and
        BundleCorruptError (it is not a rim-edge plan).
        """
        self.precision, self.fingerprint, self.notes = precision, fingerprint, notes
        self._graph, self._profiles, self._device = graph, tuple(profiles), device
        self._buckets: OrderedDict[Shape, _Bucket] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._columns = _check(graph, _load(device, plan))
        except BaseException:
            device.close()
            raise

    def run(self, question_ids: Ints, question_length: Ints, blocks: Ints) -> Floats:
        """Return the letters' logits, float32 [batch, letters]."""
        feed = (question_ids, question_length, blocks)
        with self._lock:
            if self._closed:
                raise EngineClosedError
            try:
                most = self._most_batch(question_ids.shape[1])
                logits = np.concatenate([self._answer(part) for part in parts(feed, most)])
            except DeviceError as error:
                raise run_failed(self.name, question_ids, error) from error
        return self._graph.letters(logits, len(question_ids))

    def close(self) -> None:
        """Free the device; a run in another thread finishes first."""
        with self._lock:
            self._closed = True
            self._buckets.clear()
            self._device.close()

    def _most_batch(self, length: int) -> int:
        return self._profiles[self._profile(length)].most_batch

    def _profile(self, length: int) -> int:
        """Return the first profile that takes questions of this length."""
        found = next((n for n, profile in enumerate(self._profiles) if length <= profile.most_length), None)
        if found is None:
            longest = max(profile.most_length for profile in self._profiles)
            raise DeviceError(f"its plan takes at most {longest} tokens")
        return found

    def _answer(self, feed: Feed) -> Floats:
        rows, length = feed[0].shape
        number = self._profile(length)
        profile = self._profiles[number]
        padded = max(bucket_length(length, profile.most_length), profile.least_length)
        shape = Shape(bucket_batch(rows, profile.most_batch), padded)
        return self._bucket(shape, number).run(feed)[:rows]

    def _bucket(self, shape: Shape, profile: int) -> _Bucket:
        if shape not in self._buckets:
            if len(self._buckets) >= MOST_BUCKETS:
                self._buckets.popitem(last=False)[1].release()
            self._buckets[shape] = _Bucket(self._device, profile, shape, self._graph.output, self._columns)
        self._buckets.move_to_end(shape)
        return self._buckets[shape]


class _Bucket:
    """One shape: a context, buffers, and what was recorded on them."""

    def __init__(self, device: Device, profile: int, shape: Shape, output: str, columns: int) -> None:
        self._device, self._shape = device, shape
        self._context = device.context(profile)
        shapes = ((shape.batch, shape.length), (shape.batch,), (shape.batch,))
        self._inputs = tuple(device.buffer(one, np.int64) for one in shapes)
        self._output = device.buffer((shape.batch, columns), np.float32)
        self._tensors = {**dict(zip(INPUTS, self._inputs, strict=True)), output: self._output}
        self._replay: Callable[[], None] | None = None

    def run(self, feed: Feed) -> Floats:
        """Answer one padded batch, float32 [batch, columns]."""
        ids, lengths, blocks = (buffer.host for buffer in self._inputs)
        fill(self._shape, feed, (ids, lengths, blocks))
        (self._replay or self._work)()
        self._device.synchronize()
        logits: Floats = self._output.host.copy()
        if self._replay is None:  # it has run once, as recording requires
            self._replay = self._device.record(self._context, self._work)
        return logits

    def release(self) -> None:
        """Free everything."""
        self._replay = None
        self._device.release(self._context, (*self._inputs, self._output))

    def _work(self) -> None:
        for buffer in self._inputs:
            self._device.upload(buffer)
        self._device.enqueue(self._context, self._tensors)
        self._device.download(self._output)


def _load(device: Device, plan: bytes) -> Mapping[str, Tensor]:
    try:
        return device.load(plan)
    except DeviceError as error:
        raise EngineUnavailableError(
            f"The GPU refuses the plan ({error}). Let it be built anew: rim-edge bundle untrust BUNDLE, "
            "or use another engine."
        ) from error


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
