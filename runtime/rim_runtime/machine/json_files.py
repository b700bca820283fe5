"""Read JSON files, with or without a byte order mark, with one set of errors.

Python's parser raises three kinds of errors; one of them, RecursionError for deep nesting, is easily forgotten.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rim_runtime.machine.open_file import OpenFile


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. Raises OSError (it cannot be read) and ValueError (it is not JSON)."""
    return parse_json(OpenFile(path).read().decode("utf-8-sig"))  # never waits for a pipe


def parse_json(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError for anything else, and for nesting that is too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
