"""Which bundle is meant: an explicit one, then RIM_EDGE_BUNDLE, then the chosen default, then the demo."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rim_runtime.bundle.folder import MANIFEST
from rim_runtime.errors import BundleNotFoundError, InputError, StorageError
from rim_runtime.machine.folders import BUNDLE_VARIABLE, bundles_folder, state_file
from rim_runtime.machine.json_files import read_json
from rim_runtime.machine.storage import write_file

DEMO = "demo"
"""Name of the bundle that ships inside this package."""
DEMO_FOLDER = Path(__file__).parent / "demo" / "bundle"


class Origin(StrEnum):
    """Why a bundle is the one in use."""

    EXPLICIT = "named on the command line"
    VARIABLE = f"named by {BUNDLE_VARIABLE}"
    CHOSEN = "the chosen default"
    DEMO = "the embedded demo, because no other was chosen"


@dataclass(frozen=True)
class ResolvedBundle:
    """A bundle's folder and why it was taken."""

    path: Path
    """The folder; whether it holds a good bundle shows when it is loaded."""
    origin: Origin
    """Why this one."""


@dataclass(frozen=True)
class ListedBundle:
    """One line of `rim-edge bundle list`."""

    name: str
    """What `--bundle` and `bundle use` call it."""
    path: Path
    """Its folder."""
    default: bool
    """Whether `rim-edge ask` uses it when none is named."""


def resolve_bundle(given: str | None = None) -> ResolvedBundle:
    """Return the bundle that is meant by a path, a name, or nothing.

    Raises BundleNotFoundError, and InputError for a state file that cannot be read.
    """
    if given is not None:
        return ResolvedBundle(find_bundle(given), Origin.EXPLICIT)
    if variable := os.environ.get(BUNDLE_VARIABLE):
        return ResolvedBundle(_find_for(variable, f"{BUNDLE_VARIABLE} names"), Origin.VARIABLE)
    if chosen := _chosen():
        return ResolvedBundle(_find_for(chosen, "the chosen default is"), Origin.CHOSEN)
    return ResolvedBundle(find_bundle(DEMO), Origin.DEMO)


def find_bundle(given: str) -> Path:
    """Return the folder of a path or a name, as `bundle list` prints names. Raises BundleNotFoundError."""
    path = _expanded(given)
    separators = {os.sep, os.altsep or os.sep}
    if any(sign in given for sign in separators) or given in (".", "..") or (path / MANIFEST).is_file():
        return path
    if given == DEMO:
        if not DEMO_FOLDER.is_dir():
            raise BundleNotFoundError(
                f"This installation has no demo bundle at {DEMO_FOLDER}, expected one. Install rim-edge again, "
                "or export a bundle: rim-edge export"
            )
        return DEMO_FOLDER
    own = _own_bundles()
    if own and ((own / given).is_dir() or not path.is_dir()):
        return _existing(own / given, given)
    return _existing(path, given)


def list_bundles() -> tuple[ListedBundle, ...]:
    """Return the demo, the user's bundles, and the default where it lies elsewhere."""
    default = _default_path()
    found = {DEMO: DEMO_FOLDER} if DEMO_FOLDER.is_dir() else {}
    folder = _own_bundles()
    if folder and folder.is_dir():
        names = sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and (p / MANIFEST).is_file())
        found |= {name: folder / name for name in names if name != DEMO}
    if default and default not in found.values():
        found[str(default)] = default
    return tuple(ListedBundle(name, path, path == default) for name, path in found.items())


def use_bundle(given: str) -> ListedBundle:
    """Make a bundle the default of `ask`, remembered in the state file. Raises BundleNotFoundError."""
    path = find_bundle(given)
    if path == DEMO_FOLDER:
        name = DEMO
    elif is_own(path) and path.name != DEMO:
        name = path.name
    else:
        name = str(path.absolute())
    write_file(state_file(), json.dumps({"schema_version": 1, "default_bundle": name}) + "\n")
    return ListedBundle(name, path, True)


def is_own(folder: Path) -> bool:
    """Whether a folder lies among the user's bundles."""
    return folder.absolute().parent == _own_bundles()


def _own_bundles() -> Path | None:
    """Return the folder of the user's bundles; None where there is no place for any."""
    try:
        return bundles_folder()
    except StorageError:
        return None


def _expanded(given: str) -> Path:
    try:
        return Path(given).expanduser()
    except RuntimeError as error:  # pathlib, for `~` without a home and `~name` without a user
        raise BundleNotFoundError(
            f"There is no bundle {given!r} ({error}). Give the folder as an absolute path."
        ) from None


def _chosen() -> str | None:
    try:
        file = state_file()
    except StorageError:  # no place for a state: nothing was ever chosen
        return None
    try:
        state = read_json(file)
        return None if state["default_bundle"] is None else str(state["default_bundle"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read ({error!r}). Choose again: rim-edge bundle use {DEMO}") from None


def _default_path() -> Path | None:
    try:
        return resolve_bundle().path
    except BundleNotFoundError:
        return None


def _find_for(given: str, why: str) -> Path:
    try:
        path = find_bundle(given)
        return _existing(path, given) if path != DEMO_FOLDER else path
    except BundleNotFoundError as error:
        raise BundleNotFoundError(f"{error} ({why} {given!r})") from None


def _existing(path: Path, given: str) -> Path:
    if path.is_dir():
        return path
    names = ", ".join(sorted({DEMO, *_names()}))
    raise BundleNotFoundError(
        f"There is no bundle {given!r}, neither a folder nor one of: {names}. "
        "Choose one of them (rim-edge bundle use NAME), or export one: rim-edge export"
    )


def _names() -> list[str]:
    folder = _own_bundles()
    if folder is None or not folder.is_dir():
        return []
    return [p.name for p in folder.iterdir() if (p / MANIFEST).is_file()]
