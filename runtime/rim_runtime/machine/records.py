"""Findings about this machine, kept in the cache folder as one small file each, so that they are not repeated.

A record's name is the hash of everything the finding depends on; if any of it changes, so does the name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from rim_runtime.errors import StorageError
from rim_runtime.machine.json_files import read_json
from rim_runtime.machine.storage import write_file


class Records:
    """Checks and findings in one folder. If it cannot be written, nothing is kept, and `trouble` says why."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trouble: str | None = None

    def has(self, kind: str, *facts: object) -> bool:
        """Whether a check of this kind passed for exactly these facts."""
        try:
            return self._path(kind, facts).is_file()
        except OSError:
            return False

    def add(self, kind: str, *facts: object) -> None:
        """Remember that a check of this kind passed for these facts."""
        self._write(kind, facts, [str(fact) for fact in facts])

    def keep(self, kind: str, finding: Any, *facts: object) -> None:
        """Remember a finding for these facts, as a JSON value."""
        self._write(kind, facts, {"facts": [str(fact) for fact in facts], "finding": finding})

    def recall(self, kind: str, *facts: object) -> Any:
        """Return the finding for exactly these facts; None if there is no readable record."""
        try:
            body = read_json(self._path(kind, facts))
        except (OSError, ValueError):
            return None
        return body.get("finding") if isinstance(body, dict) else None

    def _write(self, kind: str, facts: tuple[object, ...], body: Any) -> None:
        try:
            write_file(self._path(kind, facts), json.dumps(body) + "\n")
        except StorageError as error:
            self.trouble = str(error.__cause__ or error)

    def _path(self, kind: str, facts: tuple[object, ...]) -> Path:
        key = hashlib.sha256(json.dumps([str(fact) for fact in facts]).encode()).hexdigest()
        return self.folder / kind / f"{key[:32]}.json"
