"""Findings about this machine, kept in the cache folder as one small file each, so that they are not repeated.

A record's name is the hash of everything the finding depends on; if any of it changes, so does the name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from rim_runtime.errors import StorageError
from rim_runtime.machine.folders import HOME_VARIABLE, cache_folder
from rim_runtime.machine.json_files import read_json
from rim_runtime.machine.ownership import written_by_others
from rim_runtime.machine.storage import write_file


class Records:
    """Checks and findings in one folder.

    If it cannot be written, or others could have written it, nothing is kept or recalled, and `trouble` says why.
    """

    def __init__(self, folder: Path | None, trouble: str | None = None) -> None:
        self.folder = folder
        self.trouble = trouble

    @classmethod
    def here(cls) -> Records:
        """Return the records of this machine, in its cache folder."""
        try:
            return cls(cache_folder())
        except StorageError as error:
            return cls(None, str(error))

    def has(self, kind: str, *facts: object) -> bool:
        """Whether a check of this kind passed for exactly these facts."""
        path = self._own_path(kind, facts)
        try:
            return path is not None and path.is_file()
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
        path = self._own_path(kind, facts)
        try:
            body = read_json(path) if path else None
        except (OSError, ValueError):
            return None
        return body.get("finding") if isinstance(body, dict) else None

    def _write(self, kind: str, facts: tuple[object, ...], body: Any) -> None:
        path = self._own_path(kind, facts)
        if path is None:
            return
        try:
            write_file(path, json.dumps(body) + "\n")
        except StorageError as error:
            self.trouble = (
                f"The cache folder {self.folder} cannot be written ({error.__cause__ or error}). "
                f"Set {HOME_VARIABLE} to a folder that can."
            )

    def _own_path(self, kind: str, facts: tuple[object, ...]) -> Path | None:
        """Return where a record is kept; None if nowhere, or if others could have written it."""
        path = self._path(kind, facts)
        if path and (why := written_by_others(path)):
            self.trouble = why
            return None
        return path

    def _path(self, kind: str, facts: tuple[object, ...]) -> Path | None:
        if self.folder is None:
            return None
        key = hashlib.sha256(json.dumps([str(fact) for fact in facts]).encode()).hexdigest()
        return self.folder / kind / f"{key[:32]}.json"
