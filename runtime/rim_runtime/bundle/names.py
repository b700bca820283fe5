"""Which bundle is meant: an explicit one, then RIM_EDGE_BUNDLE, then the chosen default, then the demo.

A bundle is named by its folder or .zip file, by its name among the user's bundles, or as `demo`, which ships with
rim-edge.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rim_runtime.bundle.chosen import choose_bundle, chosen_bundle
from rim_runtime.bundle.folder import MANIFEST
from rim_runtime.bundle.source import is_zip
from rim_runtime.errors import BundleNotFoundError, InputError, StorageError
from rim_runtime.machine.folders import BUNDLE_VARIABLE, bundles_folder

DEMO = "demo"
"""Name of the bundle that ships with the package rim_edge."""
_SEE = "Those that are here are listed by: rim-edge bundle list"
_CHOOSE = "Choose one of them (rim-edge bundle use NAME), or export one: rim-edge export"


class Origin(StrEnum):
    """Why a bundle is the one in use."""

    EXPLICIT = "named by the caller"
    VARIABLE = f"named by {BUNDLE_VARIABLE}"
    CHOSEN = "the chosen default"
    DEMO = "the embedded demo, because no other was chosen"


@dataclass(frozen=True)
class ResolvedBundle:
    """A bundle's folder and why it was taken."""

    path: Path
    """The folder or .zip file; whether it holds a good bundle shows when it is loaded."""
    origin: Origin
    """Why this one."""


@dataclass(frozen=True)
class ListedBundle:
    """One line of `rim-edge bundle list`."""

    name: str
    """What `--bundle`, `bundle use` and `Engine.load` call it."""
    path: Path
    """Its folder, or its .zip file."""
    default: bool
    """Whether `rim-edge ask` and `Engine.load()` use it when none is named."""
    missing: bool = False
    """Whether nothing is there any more: a default that was deleted or moved."""


def demo_folder() -> Path | None:
    """Return the folder of the demo's bundle; None where the runtime is installed without rim_edge."""
    try:
        package = importlib.util.find_spec("rim_edge")  # finds it without importing it
    except ValueError:  # something else that calls itself rim_edge is imported
        return None
    places = (package.submodule_search_locations if package else None) or ()
    folders = (Path(place) / "demo" / "bundle" for place in places)
    return next((folder for folder in folders if folder.is_dir()), None)


def resolve_bundle(given: str | Path | None = None) -> ResolvedBundle:
    """Return the bundle that is meant by a name, a path, or nothing; a Path is always a path.

    Raises BundleNotFoundError, and InputError for a state file that cannot be read.
    """
    if given is not None:
        return ResolvedBundle(given if isinstance(given, Path) else find_bundle(given), Origin.EXPLICIT)
    if variable := os.environ.get(BUNDLE_VARIABLE):
        return ResolvedBundle(_find_for(variable, f"{BUNDLE_VARIABLE} names"), Origin.VARIABLE)
    if chosen := chosen_bundle():
        return ResolvedBundle(_find_for(chosen, "the chosen default is"), Origin.CHOSEN)
    return ResolvedBundle(find_bundle(DEMO), Origin.DEMO)


def find_bundle(given: str) -> Path:
    """Return the folder or .zip file of a path or a name, as `bundle list` prints names.

    What has a separator, and a folder here that holds a bundle, is a path. Any other word is a name first, and a
    folder or file here only if no bundle has that name. Raises BundleNotFoundError.
    """
    try:
        return _find(given)
    except (OSError, ValueError) as error:
        if isinstance(error, BundleNotFoundError):
            raise
        why = error.strerror if isinstance(error, OSError) else str(error)  # too long, or with a NUL
        raise BundleNotFoundError(f"There is no bundle {_short(given)} ({why}). {_SEE}") from None


def list_bundles() -> tuple[ListedBundle, ...]:
    """Return the demo, the user's bundles, and the default where it lies elsewhere or is gone.

    What cannot be read hides nothing else: a bundle is listed all the same, and `default_trouble` says the rest.
    """
    demo, own = demo_folder(), _own_bundles()
    default, named = _default()
    found = {DEMO: demo} if demo else {}
    if own:
        found |= {name: own / name for name in _names(own) if name != DEMO}
    listed = [ListedBundle(name, path, path == default) for name, path in found.items()]
    if default and default not in found.values():
        listed.append(ListedBundle(str(default), default, True))
    if named and not default:
        listed.append(ListedBundle(named, _place(named), True, missing=True))
    return tuple(listed)


def default_trouble() -> str | None:
    """Return why it is not clear which bundle is the default, or that it is gone; None if all is well."""
    try:
        resolve_bundle()
    except InputError as error:
        return str(error)
    return None


def use_bundle(given: str) -> ListedBundle:
    """Make a bundle the default, remembered in the state file. Raises BundleNotFoundError, StorageError."""
    path = find_bundle(given)
    name = name_of(path)
    choose_bundle(name)
    return ListedBundle(name, path, True)


def name_of(folder: Path) -> str:
    """Return what `bundle list` calls a bundle's folder: its name, or its absolute path."""
    demo = demo_folder()
    if demo and folder.resolve() == demo.resolve():
        return DEMO
    return folder.name if is_own(folder) and folder.name != DEMO else str(folder.absolute())


def is_own(folder: Path) -> bool:
    """Whether a folder lies among the user's bundles."""
    return folder.absolute().parent == _own_bundles()


def _find(given: str) -> Path:
    if not given.strip():
        raise BundleNotFoundError(f"The bundle's name is empty, expected a folder or a name. {_SEE}")
    path = _expanded(given)
    if _is_path(given) or (path / MANIFEST).is_file():
        return path
    if given == DEMO:
        return _demo()
    own = _own_bundles()
    if own and ((own / given).is_dir() or not path.exists()):
        return _existing(own / given, given)
    return _existing(path, given)


def _is_path(given: str) -> bool:
    return any(sign in given for sign in {os.sep, os.altsep or os.sep}) or given in (".", "..")


def _demo() -> Path:
    folder = demo_folder()
    if folder is None:
        raise BundleNotFoundError(
            "This installation has no demo bundle, which comes with the package rim_edge. Install rim-edge again, "
            f"or name a bundle's folder (or set {BUNDLE_VARIABLE} to it)."
        )
    return folder


def _own_bundles() -> Path | None:
    """Return the folder of the user's bundles; None where there is no place for any."""
    try:
        return bundles_folder()
    except StorageError:
        return None


def _names(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and _may_be_bundle(p))
    except OSError:  # there is none, or nobody may look into it
        return []


def _may_be_bundle(path: Path) -> bool:
    try:
        return (path / MANIFEST).is_file()
    except OSError:  # nobody may look into it: loading it says why
        return True


def _expanded(given: str) -> Path:
    try:
        return Path(given).expanduser()
    except RuntimeError as error:  # pathlib, for `~` without a home and `~name` without a user
        raise BundleNotFoundError(
            f"There is no bundle {given!r} ({error}). Give the folder as an absolute path."
        ) from None


def _default() -> tuple[Path | None, str | None]:
    """Return the default's folder, None if it is gone; and the name it was chosen by, None if none was."""
    named = os.environ.get(BUNDLE_VARIABLE)
    try:
        named = named or chosen_bundle()
        return resolve_bundle().path, named
    except InputError:
        return None, named


def _place(named: str) -> Path:
    """Return where a bundle that is gone would be."""
    own = _own_bundles()
    return own / named if own and not _is_path(named) else Path(named)


def _find_for(given: str, why: str) -> Path:
    try:
        path = find_bundle(given)
        return _existing(path, given)
    except BundleNotFoundError as error:
        raise BundleNotFoundError(f"{error} ({why} {given!r})") from None
    except OSError as error:  # a folder above it that nobody may look into
        raise BundleNotFoundError(f"{given} cannot be read ({error.strerror}); {why} it. {_CHOOSE}") from None


def _existing(path: Path, given: str) -> Path:
    if path.is_dir() or is_zip(path):
        return path
    own = _own_bundles()
    names = ", ".join(sorted({*([DEMO] if demo_folder() else []), *(_names(own) if own else [])})) or "(none)"
    if path.exists():
        raise BundleNotFoundError(
            f"{given!r} is a file, expected a bundle's folder, a .zip file or one of: {names}. {_CHOOSE}"
        )
    raise BundleNotFoundError(f"There is no bundle {given!r}, neither a folder nor one of: {names}. {_CHOOSE}")


def _short(text: str) -> str:
    return repr(text if len(text) < 60 else f"{text[:57]}…")
