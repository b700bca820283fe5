"""Where tests find what is not theirs: the repository's files, and the data sets beside it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
"""The checkout."""
DEMO_PACKAGE = REPOSITORY / "rim_edge" / "demo"
"""The embedded bundle and the checkpoint it was made of."""
DEMO_FOLDER = DEMO_PACKAGE / "bundle"
"""The embedded bundle alone."""
SHARED = REPOSITORY.parent / "shared" / "data"
"""Real data sets and the Qwen3 tokenizer; not there for everyone."""


def need(engine: str) -> None:
    """Skip a test whose engine's library is not installed; looking imports nothing, which would report usage."""
    module = {"ort-cpu": "onnxruntime"}.get(engine, engine)
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}")
