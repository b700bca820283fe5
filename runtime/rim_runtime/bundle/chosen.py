"""The chosen default: the bundle that `ask` and `Engine.load()` take if none is named, kept in the state file."""

from __future__ import annotations

import json
from pathlib import Path

from rim_runtime.errors import InputError, StorageError
from rim_runtime.machine.folders import HOME_VARIABLE, state_file
from rim_runtime.machine.json_files import read_json
from rim_runtime.machine.storage import write_file


def chosen_bundle() -> str | None:
    """Return the name or folder that was chosen; None if none was. Raises InputError for a file that is broken."""
    try:
        file = state_file()
    except StorageError:  # no place for a state: nothing was ever chosen
        return None
    try:
        state = read_json(file)
        return None if state["default_bundle"] is None else str(state["default_bundle"])
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise InputError(
            f"{_file_above(file)} is a file, expected a folder. Set {HOME_VARIABLE} to one."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read ({error!r}). Choose again: rim-edge bundle use demo") from None


def choose_bundle(name: str | None) -> None:
    """Remember a name or folder as the default; None forgets it. Raises StorageError."""
    write_file(state_file(), json.dumps({"schema_version": 1, "default_bundle": name}) + "\n")


def _file_above(file: Path) -> Path:
    """Return what stands in the place of a folder above a file."""
    return next(path for path in file.parents if path.exists())
