"""Which files an ONNX graph reads its weights from, found without ONNX: a walk through its protobuf messages.

A graph names the files of its external data itself. A bundle's hashes say nothing of a file that the manifest does
not list, so a graph may name its variant's own data file and no other. `with_weights` puts other weights in that
file's place: the bytes that were hashed, or the path of the file that was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rim_runtime.errors import BundleCorruptError

_MODEL, _MAIN, _GRAPH, _NODE, _ATTRIBUTE, _WEIGHT, _TENSOR, _SPARSE, _FUNCTION, _TRAINING = range(10)
_WEIGHT_ENTRY, _ENTRY = range(10, 12)
_PARTS: Mapping[int, Mapping[int, int]] = {
    _MODEL: {7: _MAIN, 20: _TRAINING, 25: _FUNCTION},
    _MAIN: {1: _NODE, 5: _WEIGHT, 15: _SPARSE},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _WEIGHT: {13: _WEIGHT_ENTRY},
    _TENSOR: {13: _ENTRY},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
}
"""onnx.proto: for each message, the numbers of the fields that can contain tensors, with the fields' types.
The main graph's own tensors (_WEIGHT) have a type of their own: engines take no others from memory."""
_MODEL_GRAPH, _INITIALIZER, _RAW_DATA, _EXTERNAL, _DATA_LOCATION = 7, 5, 9, 13, 14
"""Fields of a model, a graph and a tensor."""
_KEY, _VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf."""


_Field = tuple[int, int, int, int, int]
"""A field's number, its wire type, where it starts with its tag, where its value starts, and where it ends."""


def check_locations(model: bytes, path: Path, data: str) -> None:
    """Check that the graph of a file reads its weights from its variant's data file alone.

    Raises BundleCorruptError that names the graph's `path`.
    """
    try:
        others = external_locations(model) - {data}
    except ValueError as error:
        raise BundleCorruptError(f"{path} cannot be read ({error}). Copy or export the bundle again.") from None
    if others:
        raise BundleCorruptError(
            f"{path} reads its weights from {', '.join(map(repr, sorted(others)))}, expected {data!r} alone. "
            "Do not use this bundle."
        )


def external_locations(model: bytes) -> frozenset[str]:
    """Return the files that a serialized ONNX model's initializers are read from.

    Raises ValueError if it is no model, or reads other tensors than the main graph's initializers from files.
    """
    found: set[str] = set()
    left = [(_MODEL, 0, len(model))]
    while left:  # no recursion: graphs can be nested arbitrarily deep
        kind, start, end = left.pop()
        if kind in (_WEIGHT_ENTRY, _ENTRY):
            key, value = _entry(model, start, end)
            if key == "location":
                found.add(value)
                if kind == _ENTRY:
                    raise ValueError(f"a tensor besides its initializers is read from {value!r}")
            continue
        parts = _PARTS[kind]
        fields = _fields(model, start, end)
        left += [
            (parts[number], first, last)
            for number, wire, _, first, last in fields
            if number in parts and wire == _BYTES
        ]
    return frozenset(found)


def with_weights(model: bytes, weights: bytes | str) -> bytes:
    """Return a model whose external initializers hold their part of `weights`, or are read from that path.

    Raises ValueError if it is no model, or if a tensor's part is not inside the weights.
    """
    put = _holding(weights) if isinstance(weights, bytes) else _reading(weights)

    def graph(start: int, end: int) -> bytes:
        return _changed(model, start, end, _INITIALIZER, lambda first, last: _tensor(model, first, last, put))

    return _changed(model, 0, len(model), _MODEL_GRAPH, graph)


Put = Callable[[Mapping[str, str]], bytes]
"""Returns the fields that take the place of a tensor's external data, which is given as its entries."""


def _holding(weights: bytes) -> Put:
    def put(entries: Mapping[str, str]) -> bytes:
        start = int(entries.get("offset", 0))
        size = int(entries.get("length", len(weights) - start))
        if start < 0 or size < 0 or start + size > len(weights):
            raise ValueError(f"a tensor at {start:,} with {size:,} bytes, of {len(weights):,}")
        return _written(_RAW_DATA, weights[start : start + size])

    return put


def _reading(path: str) -> Put:
    def put(entries: Mapping[str, str]) -> bytes:
        moved = {**entries, "location": path}
        texts = (_written(_KEY, key.encode()) + _written(_VALUE, text.encode()) for key, text in moved.items())
        # data_location stays EXTERNAL
        return b"".join(_written(_EXTERNAL, text) for text in texts) + bytes([_DATA_LOCATION << 3, 1])

    return put


def _tensor(model: bytes, start: int, end: int, put: Put) -> bytes:
    fields = list(_fields(model, start, end))
    entries = dict(_entry(model, first, last) for number, _, _, first, last in fields if number == _EXTERNAL)
    if "location" not in entries:
        return model[start:end]
    kept = (model[at:last] for number, _, at, _, last in fields if number not in (_EXTERNAL, _DATA_LOCATION))
    return b"".join(kept) + put(entries)


def _changed(model: bytes, start: int, end: int, number: int, change: Callable[[int, int], bytes]) -> bytes:
    """Return a message, its fields of this number changed."""
    return b"".join(
        _written(number, change(first, last)) if (found, wire) == (number, _BYTES) else model[at:last]
        for found, wire, at, first, last in _fields(model, start, end)
    )


def _written(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint_bytes(len(value)) + value


def _varint_bytes(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])


def _entry(model: bytes, start: int, end: int) -> tuple[str, str]:
    """Return the key and the value of an entry of a tensor's external data."""
    texts = {number: model[first:last] for number, _, _, first, last in _fields(model, start, end)}
    key, value = (texts.get(number, b"").decode("utf-8", "replace") for number in (_KEY, _VALUE))
    return key, value


def _fields(model: bytes, at: int, end: int) -> Iterator[_Field]:
    """Yield the fields of one message."""
    while at < end:
        begin = at
        tag, at = _varint(model, at, end)
        wire = tag & 7
        size = 0
        if wire == _VARINT:
            _, at = _varint(model, at, end)
        elif wire == _BYTES:
            size, at = _varint(model, at, end)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}, which ONNX does not use")
        yield tag >> 3, wire, begin, at, at + size
        at += size
    if at != end:
        raise ValueError("a field that runs over its message's end")


def _varint(model: bytes, at: int, end: int) -> tuple[int, int]:
    if at < end and model[at] < 128:  # most are this short
        return model[at], at + 1
    value = shift = 0
    while at < end and shift < 70:
        byte = model[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")
