"""Check files by their hashes: small ones are read whole at every load, large ones hashed once.

What is hashed is what is read. A small file's bytes are hashed and then used, without opening it again. A large
one, whose weights engines map, is held open while an engine opens it, and compared afterwards (OpenFile); then
engines/mapped_backend.py keeps it from changing.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from rim_runtime.bundle.external_data import check_locations
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Variant
from rim_runtime.errors import BundleCorruptError
from rim_runtime.machine.mounts import keeps_times
from rim_runtime.machine.open_file import OpenFile
from rim_runtime.machine.records import Records
from rim_runtime.progress import OnProgress

HASH_EVERY_TIME = 64_000_000
"""Files below this many bytes are read and hashed at every load; larger ones once, while they look unchanged."""
_SETTLED_S = 2.0  # a file changed more recently could change again within one tick of its clock


@dataclass(frozen=True)
class GraphFiles:
    """What an engine reads of a variant."""

    graph: OpenFile
    """The graph's file."""
    data: OpenFile
    """The weights' file."""
    model: bytes
    """The graph's content."""
    location: str
    """What the graph calls the weights' file."""
    weights: bytes | None
    """The weights; None where they are so large that engines map their file."""

    def require_unchanged(self) -> None:
        """Raise BundleCorruptError if one of the files was written or replaced since it was opened."""
        for file in (self.graph, self.data):
            if not file.is_unchanged():
                raise BundleCorruptError(
                    f"{file.path} changed while it was loaded, expected the file that was checked. "
                    "Load the bundle again when nothing writes to it."
                )


def check_file(bundle: Bundle, name: str, records: Records, progress: OnProgress | None) -> None:
    """Check one file of a bundle by its hash. Raises BundleCorruptError if the hash differs."""
    if bundle.manifest.files[name].bytes < HASH_EVERY_TIME:
        bundle.read_file(name)
    else:
        _check_large(bundle, name, bundle.open_file(name), records, progress)


def check_graph(bundle: Bundle, variant: Variant, records: Records, progress: OnProgress | None) -> GraphFiles:
    """Check a variant's files and return what an engine may read of them. Raises BundleCorruptError."""
    graph, data = bundle.open_file(variant.graph), bundle.open_file(variant.data)
    model = bundle.read_file(variant.graph, graph)
    if bundle.manifest.files[variant.data].bytes < HASH_EVERY_TIME:
        weights = bundle.read_file(variant.data, data)
    else:
        weights = None
        _check_large(bundle, variant.data, data, records, progress)
    check_locations(model, bundle.path / variant.graph, variant.data)
    return GraphFiles(graph, data, model, variant.data, weights)


def read_graph(bundle: Bundle, variant: Variant) -> GraphFiles:
    """Return what an engine reads of a variant, unchecked: for those who have just written or checked it.

    Raises BundleCorruptError if the files cannot be read.
    """
    graph, data = bundle.open_file(variant.graph), bundle.open_file(variant.data)
    weights = data.read() if data.size < HASH_EVERY_TIME else None
    return GraphFiles(graph, data, graph.read(), variant.data, weights)


def _check_large(bundle: Bundle, name: str, file: OpenFile, records: Records, progress: OnProgress | None) -> None:
    entry = bundle.manifest.files[name]
    facts = (*file.identity, entry.sha256)
    if _can_remember(file) and records.has("hashes", *facts):
        return
    once = ", once" if _can_remember(file) else ""
    text = f"checking {name} ({entry.bytes / 1e6:,.0f} MB){once}"
    bundle.check_hash(name, bundle.hash_file(name, file, text, progress))
    if _can_remember(file) and _has_settled(file) and file.is_unchanged():
        records.add("hashes", *facts)


def _can_remember(file: OpenFile) -> bool:
    """Whether each later change would show: not on Windows, which keeps no time that programs cannot set."""
    return sys.platform != "win32" and keeps_times(file.device)


def _has_settled(file: OpenFile) -> bool:
    """Whether a further change would get another time; a time in the future is one that the clock has left."""
    return abs(time.time() - file.changed_ns / 1e9) > _SETTLED_S
