"""The folders and files that rim-edge keeps on this machine.

RIM_EDGE_HOME   a folder for everything (bundles, state, cache); default: the platform's user folders
RIM_EDGE_BUNDLE the bundle that `rim-edge ask` uses if none is given

These functions only return paths; they create nothing. If the user has no home folder, as in some containers, they
raise StorageError; answering needs none of these folders.
"""

from __future__ import annotations

import os
from pathlib import Path

from rim_runtime.errors import StorageError

HOME_VARIABLE = "RIM_EDGE_HOME"
BUNDLE_VARIABLE = "RIM_EDGE_BUNDLE"

_APP = "rim-edge"


def home_folder() -> Path:
    """Return the folder for bundles and state."""
    return _own_home() or _platform_folder("user_data_path")


def cache_folder() -> Path:
    """Return the folder for what can be made again: remembered checks, TensorRT plans, unpacked bundles."""
    own = _own_home()
    return own / "cache" if own else _platform_folder("user_cache_path")


def bundles_folder() -> Path:
    """Return the folder that holds the user's bundles."""
    return home_folder() / "bundles"


def state_file() -> Path:
    """Return the file that says which bundle is the default."""
    return home_folder() / "state.json"


def trust_file() -> Path:
    """Return the file that lists the bundles whose plans may be loaded."""
    return home_folder() / "trusted.json"


def calibrations_file() -> Path:
    """Return the file that holds the calibrations of bundles."""
    return home_folder() / "calibrations.json"


def plans_folder() -> Path:
    """Return the folder of TensorRT plans that were built on this machine."""
    return cache_folder() / "plans"


def unpacked_folder() -> Path:
    """Return the folder of bundles that were unpacked on this machine."""
    return cache_folder() / "unpacked"


def _own_home() -> Path | None:
    value = os.environ.get(HOME_VARIABLE)
    if not value:
        return None
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:  # pathlib, for `~` without a home
        raise _no_home(f"{HOME_VARIABLE} is {value!r}, and {error}") from None


def _platform_folder(which: str) -> Path:
    import platformdirs  # here, because a set RIM_EDGE_HOME does not need it

    try:
        folder: Path = getattr(platformdirs, which)(_APP, appauthor=False)
    except RuntimeError as error:  # neither HOME nor the user database has a home folder
        raise _no_home(str(error)) from None
    if not folder.is_absolute():  # older releases return this; it would depend on the working directory
        raise _no_home(f"{folder} is no absolute path")
    return folder


def _no_home(why: str) -> StorageError:
    return StorageError(
        f"There is no home folder to keep anything in ({why.rstrip('.')}). "
        f"Set {HOME_VARIABLE} to a folder, as an absolute path."
    )
