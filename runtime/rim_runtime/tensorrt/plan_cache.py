"""Plans that were built on this machine: the newest for each graph and GPU, and not more than a limit of bytes.

plans/<graph>-<target>/   engine.plan, and entry.json: what it was built from, and its hash
plans/kernels-…           what TensorRT-RTX compiled on a GPU (loaded_plan.py); it counts towards the limit
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rim_runtime.errors import StorageError, TargetExistsError
from rim_runtime.machine.folders import plans_folder
from rim_runtime.machine.json_files import read_json
from rim_runtime.machine.limited_folder import make_room, remove
from rim_runtime.machine.ownership import written_by_others
from rim_runtime.machine.storage import new_folder

PLAN, ENTRY = "engine.plan", "entry.json"
"""Files of one plan: the plan itself, and what it was built from with its hash."""
MOST_BYTES = 10_000_000_000
"""Bytes that the folder may hold; a plan at Qwen3-1.7B's geometry has 2.1 GB in fp8. The newest always stays."""

Facts = Mapping[str, Any]
"""Everything a plan depends on; `graph_sha256` and `target` name its folder."""
PlanBytes = bytes | memoryview
"""A plan; a view of the library's own memory where it was just built, because plans have gigabytes."""


def recall_plan(facts: Facts) -> bytes | None:
    """Return the plan that was built here for exactly these facts.

    None if there is none, if it was altered, or if others could have written it: a plan is code.
    """
    try:
        folder = _folder(facts)
        if any(map(written_by_others, (folder / ENTRY, folder / PLAN))):
            return None
        entry = read_json(folder / ENTRY)
        content = (folder / PLAN).read_bytes()
    except (OSError, ValueError):
        return None
    if not isinstance(entry, dict) or entry.get("facts") != facts or entry.get("sha256") != hash_plan(content):
        return None
    with suppress(OSError):
        os.utime(folder)  # what was used last is removed last
    return content


def keep_plan(facts: Facts, content: PlanBytes) -> None:
    """Keep a plan instead of the one before for its graph and GPU; remove the oldest over the limit.

    Raises StorageError, also where others could write the folder.
    """
    folder = _folder(facts)
    if why := written_by_others(folder):
        raise StorageError(why)
    remove(folder)
    entry = json.dumps({"facts": facts, "sha256": hash_plan(content)}, indent=1)
    with suppress(TargetExistsError), new_folder(folder) as work:  # another process was faster
        (work / PLAN).write_bytes(content)
        (work / ENTRY).write_text(entry, encoding="utf-8")
    make_room(folder, MOST_BYTES)


def hash_plan(content: PlanBytes) -> str:
    """Return a plan's SHA-256."""
    return hashlib.sha256(content).hexdigest()


def _folder(facts: Facts) -> Path:
    return plans_folder() / f"{facts['graph_sha256'][:32]}-{facts['target']}"
