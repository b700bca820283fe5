"""Rows of data files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as `.jsonl.gz`, the same bytes for the same rows, unless the file is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    made = path.with_name(f".{path.name}")
    made.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
    made.replace(path)
