"""Which files an ONNX graph reads its weights from, found without ONNX: a walk through its protobuf messages.

A graph names the files of its external data itself. A bundle's hashes say nothing of a file that the manifest does
not list, so a graph may name its variant's own data file and no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING, _ENTRY = range(9)
_PARTS: Mapping[int, Mapping[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _TENSOR: {13: _ENTRY},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
}
"""onnx.proto: for each message, the numbers of the fields that can contain tensors, with the fields' types."""
_KEY, _VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf."""


def external_locations(model: bytes) -> frozenset[str]:
    """Return the external locations in a serialized ONNX model's tensors. Raises ValueError if it is not one."""
    found, left = set(), [(_MODEL, 0, len(model))]
    while left:  # no recursion: graphs can be nested arbitrarily deep
        kind, start, end = left.pop()
        if kind == _ENTRY:
            entry = {field: model[first:last] for field, first, last in _fields(model, start, end)}
            if entry.get(_KEY) == b"location":
                found.add(entry.get(_VALUE, b"").decode("utf-8", "replace"))
            continue
        parts = _PARTS[kind]
        spans = _fields(model, start, end)
        left += [(parts[field], first, last) for field, first, last in spans if field in parts]
    return frozenset(found)


def _fields(model: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (number, start, end) of the length-delimited fields of one message."""
    while at < end:
        tag, at = _varint(model, at, end)
        wire = tag & 7
        if wire == _VARINT:
            _, at = _varint(model, at, end)
        elif wire == _BYTES:
            size, at = _varint(model, at, end)
            yield tag >> 3, at, at + size
            at += size
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}, which ONNX does not use")
    if at != end:
        raise ValueError("a field that runs over its message's end")


def _varint(model: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = model[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")
