"""Converted models that tests share: converting is nine tenths of a small export, and few tests vary the model."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rim_export import pipeline
from rim_export.graph.convert import UnboundGraph, convert
from rim_export.graph.decoder import convert_decoder
from rim_export.graph.readouts import convert_trace

_known: dict[bytes, UnboundGraph] = {}


@contextmanager
def shared_conversions() -> Iterator[None]:
    """Let exports inside the block convert each model once in a process; variants are made of copies anyway."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "convert", convert_once)
        patch.setattr(pipeline, "convert_decoder", convert_decoder_once)
        patch.setattr(pipeline, "convert_trace", convert_trace_once)
        yield


def convert_once(config: Any, *rest: Any) -> UnboundGraph:
    """Return the single pass of a model that was converted before, or convert it."""
    return _once(convert, config, rest)


def convert_decoder_once(config: Any, *rest: Any) -> UnboundGraph:
    """Return the decoder of a model that was converted before, or convert it."""
    return _once(convert_decoder, config, rest)


def convert_trace_once(config: Any, *rest: Any) -> UnboundGraph:
    """Return the trace of a model that was converted before, or convert it."""
    return _once(convert_trace, config, rest)


def _once(conversion: Callable[..., UnboundGraph], config: Any, rest: tuple[Any, ...]) -> UnboundGraph:
    geometry = {name: value for name, value in config.to_dict().items() if name != "_name_or_path"}
    key = pickle.dumps((conversion.__name__, sorted(map(str, geometry.items())), rest))
    if key not in _known:
        _known[key] = conversion(config, *rest)
    return _known[key]
