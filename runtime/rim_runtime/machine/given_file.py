"""Read a file that the user named, with one set of errors: it is not there, is a folder, or cannot be read."""

from __future__ import annotations

from pathlib import Path

from rim_runtime.errors import InputError


def read_given(path: Path, expected: str, kind: type[InputError] = InputError) -> bytes:
    """Return the content of a file or a pipe; `expected` says what it should be. Raises `kind`."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise kind(f"There is no file {path}, expected {expected}. Check the path.") from None
    except (OSError, ValueError) as error:  # the latter: a NUL in its name
        if path.is_dir():
            raise kind(f"{path} is a folder, expected {expected}. Give a file.") from None
        why = getattr(error, "strerror", None) or error
        raise kind(f"{str(path)!r} cannot be read ({why}), expected {expected}. Check its permissions.") from None
