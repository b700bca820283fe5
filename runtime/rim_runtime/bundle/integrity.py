"""Check that a bundle's files still have their hashes: small files at every load, large files once."""

from __future__ import annotations

import os
import time

from rim_runtime.bundle.folder import TOKENIZER, Bundle, Progress
from rim_runtime.machine.records import Records

HASH_EVERY_TIME = 64_000_000
"""Files below this many bytes are hashed at every load; larger ones once, while they look unchanged."""
_SETTLED_S = 2.0  # a file changed more recently could change again within one tick of its clock


def check_file(bundle: Bundle, name: str, records: Records, progress: Progress | None) -> None:
    """Check one file of a bundle by its hash. Raises BundleCorruptError if the hash differs."""
    entry = bundle.manifest.files[name]
    if name == TOKENIZER:  # load_encoder checks it
        return
    if entry.bytes < HASH_EVERY_TIME:
        bundle.verify_file(name)
        return
    before = (bundle.path / name).stat()
    facts = (*_identity(before), entry.sha256)
    if records.has("hashes", *facts):
        return
    if progress:
        progress(f"checking {name} ({entry.bytes / 1e6:,.0f} MB), once")
    bundle.verify_file(name)
    settled = time.time() - max(before.st_mtime_ns, before.st_ctime_ns) / 1e9 > _SETTLED_S
    if settled and _identity((bundle.path / name).stat()) == _identity(before):
        records.add("hashes", *facts)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
