"""From a folder to parts that may answer: the checks of a load, in their order.

schema version → manifest's hash → files' hashes → engine opened → golden questions, the first time they meet
(`auto` with several engines: from rung to rung; those of the CPU asked in turns, the first time; ladder.py)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rim_runtime.backends.protocol import Backend
from rim_runtime.bundle import TOKENIZER, Bundle
from rim_runtime.engines import parse_engine, parse_precision
from rim_runtime.manifest import Manifest, Variant
from rim_runtime.onnx_runtime import Telemetry, telemetry
from rim_runtime.open_vino import host_reports
from rim_runtime.opening import Opened, Wish, open_tested
from rim_runtime.paths import cache_folder
from rim_runtime.prompt import PromptEncoder
from rim_runtime.records import Records
from rim_runtime.rungs import rungs_for
from rim_runtime.use import Use

Progress = Callable[[str], None]

HASH_EVERY_TIME = 64_000_000
"""Files below this many bytes are hashed at every load; larger ones once, while they look unchanged."""

_SETTLED_S = 2.0  # a file changed more recently could change again within one tick of its clock


@dataclass(frozen=True)
class Loaded:
    """The parts of an engine, checked."""

    manifest: Manifest
    """What the bundle says about itself."""
    encoder: PromptEncoder
    """Its tokenizer and prompt contract."""
    backend: Backend
    """The graph on an engine."""
    notes: tuple[str, ...]
    """What the user should know about this load."""


def load_parts(
    path: str | Path, engine: str, precision: str | None, use: Use, progress: Progress | None
) -> Loaded:
    """Load a bundle for an engine and check both. Raises the errors that Engine.load names."""
    wish_for = parse_engine(engine)
    wanted = None if precision is None else parse_precision(precision)
    bundle = Bundle.load(path)
    rungs = rungs_for(wish_for, bundle, wanted)
    records = Records(cache_folder())
    for file in _common_files(bundle.manifest):
        _check_file(bundle, file, records, progress)
    encoder = load_encoder(bundle)

    def check(variant: Variant) -> None:
        for file in (variant.graph, variant.data):
            _check_file(bundle, file, records, progress)

    opened = _open(Wish(bundle, rungs, encoder, use, records, progress, check))
    return Loaded(bundle.manifest, encoder, opened.backend, (*opened.notes, *_notes(records)))


def _open(wish: Wish) -> Opened:
    names = (*wish.rungs.gpu, *wish.rungs.cpu)
    if len(names) == 1:
        wish.check(wish.variant(names[0]))
        opened = open_tested(names[0], wish)
        return replace(opened, notes=(*wish.rungs.stepped_over, *opened.notes))
    from rim_runtime.ladder import open_best  # here, because most machines have one engine and start sooner

    return open_best(wish)


def load_encoder(bundle: Bundle) -> PromptEncoder:
    """Return the encoder of a bundle, its tokenizer's hash checked. Raises BundleCorruptError."""
    bundle.verify_file(TOKENIZER)
    manifest = bundle.manifest
    return PromptEncoder.load(manifest.prompt, bundle.path / TOKENIZER, manifest.limits.question_tokens)


def _common_files(manifest: Manifest) -> list[str]:
    """Return the files that belong to no variant and are no plan; those are checked before they are opened."""
    own = {file for variant in manifest.variants for file in (variant.graph, variant.data)}
    return [file for file in manifest.files if file not in own | {plan.file for plan in manifest.plans}]


def _check_file(bundle: Bundle, name: str, records: Records, progress: Progress | None) -> None:
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


def _notes(records: Records) -> tuple[str, ...]:
    notes = []
    if records.trouble:
        notes.append(
            f"The cache folder {records.folder} cannot be written ({records.trouble}), so the bundle is tested "
            "at every load. Set RIM_EDGE_HOME to a folder that can."
        )
    if telemetry() is Telemetry.HOST:
        notes.append(
            "onnxruntime was imported before rim_runtime with its usage reporting on, which cannot be undone. "
            "Set ORT_DISABLE_TELEMETRY=1 before the import."
        )
    if host_reports():
        notes.append(
            "openvino was imported before rim_runtime with its usage reporting, which cannot be undone. "
            "Load the engine before the import, or uninstall openvino-telemetry."
        )
    return tuple(notes)
