"""Where tests find what is not theirs: the repository's files, and the data sets beside it."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
"""The checkout."""
DEMO_PACKAGE = REPOSITORY / "rim_edge" / "demo"
"""The embedded bundle and the checkpoint it was made of."""
DEMO_FOLDER = DEMO_PACKAGE / "bundle"
"""The embedded bundle alone."""
SHARED = REPOSITORY.parent / "shared" / "data"
"""Real data sets and the Qwen3 tokenizer; not there for everyone."""
