"""Load a bundle into checked parts.

The checks, in order (what is packed is unpacked first, its files' hashes checked on the way):
schema version → manifest's hash → files' hashes → engine opened → golden questions, the first time on this engine
(`auto` with several engines: in fallback order; CPU engines are timed one by one the first time; fallback.py)
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_runtime.bundle.folder import TOKENIZER, Bundle
from rim_runtime.bundle.integrity import GraphFiles, check_file, check_graph
from rim_runtime.bundle.latent import latent_of
from rim_runtime.bundle.manifest import Manifest, Precision, Variant, parse_precision
from rim_runtime.bundle.roles import Ability, abilities, all_graphs
from rim_runtime.bundle.unpacking import unpacked
from rim_runtime.engines.backend import Backend, EngineOptions
from rim_runtime.engines.cancellation import Cancellation, check
from rim_runtime.engines.names import EngineName, parse_engine
from rim_runtime.errors import CancelledError
from rim_runtime.libraries.onnxruntime import Telemetry, telemetry
from rim_runtime.libraries.openvino import host_reports
from rim_runtime.loading.candidates import find_candidates
from rim_runtime.loading.selftest import LoadContext, OpenedEngine, open_tested
from rim_runtime.machine.records import Records
from rim_runtime.progress import OnProgress, Progress, Stage
from rim_runtime.prompt.encoder import PromptEncoder

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from rim_runtime.loading.decoder import OpenDecoder
    from rim_runtime.loading.trace import OpenTrace


@dataclass(frozen=True)
class LoadedParts:
    """The parts of an engine, checked."""

    manifest: Manifest
    """What the bundle says about itself."""
    encoder: PromptEncoder
    """Its tokenizer and prompt contract."""
    backend: Backend
    """The engine, with the graph loaded."""
    notes: tuple[str, ...]
    """What the user should know about this load."""
    certificate: Mapping[str, Any]
    """How each variant compares with the checkpoint."""
    open_decoder: OpenDecoder | None = None
    """Opens its decoder; None where the bundle has none."""
    open_trace: OpenTrace | None = None
    """Opens its trace; None where the bundle has none."""


def load_parts(
    place: Path | Traversable,
    engine: str,
    precision: str | None,
    use: EngineOptions,
    progress: OnProgress | None,
) -> LoadedParts:
    """Load a bundle for an engine and check both. Raises the errors that Engine.load names."""
    wish_for = parse_engine(engine)
    wanted = None if precision is None else parse_precision(precision)
    progress = _stopped(progress, use.cancel)
    with unpacked(place, progress) as folder:
        loaded = _load(Bundle.load(folder), wish_for, wanted, use, progress)
    return _with_further_graphs(loaded, place, wish_for, wanted, use)


def _with_further_graphs(
    loaded: LoadedParts,
    place: Path | Traversable,
    engine: EngineName,
    precision: Precision | None,
    use: EngineOptions,
) -> LoadedParts:
    """Return the parts with what opens the bundle's decoder and its trace; imported late: letters need neither."""
    able = abilities(loaded.manifest)
    if not {Ability.TEXT, Ability.TRACE} & set(able):
        return loaded
    from rim_runtime.loading.later import LoadedPlace

    read = loaded.backend.precision
    there = LoadedPlace(place, loaded.manifest, loaded.encoder, engine, precision, read, use)
    if Ability.TEXT in able:
        from rim_runtime.loading.decoder import decoder_opening

        loaded = replace(loaded, open_decoder=decoder_opening(there))
    if Ability.TRACE in able:
        from rim_runtime.loading.trace import trace_opening

        loaded = replace(loaded, open_trace=trace_opening(there))
    return loaded


def _load(
    bundle: Bundle,
    engine: EngineName,
    precision: Precision | None,
    use: EngineOptions,
    progress: OnProgress | None,
) -> LoadedParts:
    candidates = find_candidates(engine, bundle, precision)
    records = Records.here()
    for file in _common_files(bundle.manifest):
        check(use.cancel)
        check_file(bundle, file, records, progress)
    encoder, certificate = load_encoder(bundle), bundle.certificate()

    @functools.cache
    def files(variant: Variant) -> GraphFiles:
        return check_graph(bundle, variant, records, progress)

    opened = _open(LoadContext(bundle, candidates, encoder, use, records, progress, files))
    try:
        check(use.cancel)  # engines that cannot be stopped while they open were opened all the same
    except CancelledError:
        opened.backend.close()
        raise
    return LoadedParts(bundle.manifest, encoder, opened.backend, (*opened.notes, *_notes(records)), certificate)


def _stopped(progress: OnProgress | None, cancel: Cancellation | None) -> OnProgress | None:
    """Return a callback that ends the hashing or unpacking of a file by a CancelledError when that is cancelled.

    Other steps report from within libraries, which no exception can leave: they go on to their end.
    """
    if cancel is None:
        return progress

    def report(step: Progress) -> None:
        if step.stage in (Stage.HASH, Stage.COPY):
            cancel.check()
        if progress:
            progress(step)

    return report


def _open(context: LoadContext) -> OpenedEngine:
    names = (*context.candidates.gpu, *context.candidates.cpu)
    if len(names) == 1:
        opened = open_tested(names[0], context)
        return replace(opened, notes=(*context.candidates.stepped_over, *opened.notes))
    # imported late: most machines have one engine and start faster without it
    from rim_runtime.loading.fallback import open_best

    return open_best(context)


def load_encoder(bundle: Bundle) -> PromptEncoder:
    """Return the encoder of a bundle, its tokenizer's hash checked. Raises BundleCorruptError."""
    manifest, tokenizer = bundle.manifest, bundle.read_file(TOKENIZER)
    limit = manifest.limits.question_tokens
    return PromptEncoder.from_json(manifest.prompt, tokenizer, limit, str(bundle.path / TOKENIZER))


def _common_files(manifest: Manifest) -> list[str]:
    """Return the files that are checked first; tokenizer, graphs and plans are checked where they are read."""
    own = {TOKENIZER} | {file for graph in all_graphs(manifest) for file in (graph.graph, graph.data)}
    if (latent := latent_of(manifest)) and latent.head:
        own.add(latent.head)
    return [file for file in manifest.files if file not in own | {plan.file for plan in manifest.plans}]


def _notes(records: Records) -> tuple[str, ...]:
    notes = []
    if records.trouble:
        notes.append(f"{records.trouble} Until then the bundle is tested at every load.")
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
