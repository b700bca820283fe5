"""Traces that tests share: tracing is nine tenths of a small export, and depends on little of what tests vary."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rim_export import pipeline
from rim_export.graph.trace import TracedGraph, trace

_known: dict[bytes, TracedGraph] = {}


@contextmanager
def shared_traces() -> Iterator[None]:
    """Let exports inside the block trace each model once in a process; variants are made of copies anyway."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "trace", trace_once)
        yield


def trace_once(config: Any, *rest: Any) -> TracedGraph:
    """Return the trace of a model that was traced before, or trace it."""
    geometry = {name: value for name, value in config.to_dict().items() if name != "_name_or_path"}
    key = pickle.dumps((sorted(map(str, geometry.items())), rest))
    if key not in _known:
        _known[key] = trace(config, *rest)
    return _known[key]
