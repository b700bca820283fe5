"""Export as a list of verbs: open → contract → trace → calibrate → write → certify → package."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rim_runtime.bundle.folder import CERTIFICATE, GOLDEN, TOKENIZER, Bundle, file_entries, save_manifest
from rim_runtime.bundle.manifest import Limits, Manifest, Source
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.machine.storage import new_folder, refuse_existing
from rim_runtime.prompt.contract import PromptContract
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.bundle_files import carry_license_and_card, tool_versions, write_tokenizer
from rim_export.certification.certificate import Certificate
from rim_export.certification.evaluation import check_prompts, fitting_questions
from rim_export.certification.widening import Tolerance, VariantWriter, prove_variants
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import RimSettings, derive_contract, letter_ids
from rim_export.errors import CheckpointError
from rim_export.graph.trace import trace
from rim_export.progress import Progress
from rim_export.questions import CERTIFICATE_SET, read_questions
from rim_export.settings import ExportOptions
from rim_export.tensorrt.plans import build_plans, check_plan_request
from rim_export.variants import choose_recipes
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class ExportReport:
    """What an export made."""

    bundle: Path
    """The bundle's folder."""
    manifest: Manifest
    """Its manifest."""
    certificate: Certificate
    """How its variants compare with the checkpoint."""
    notes: tuple[str, ...]
    """What was assumed, for the user to know."""
    seconds: float
    """Time it took."""


def export(
    model: str | Path,
    target: str | Path,
    options: ExportOptions | None = None,
    *,
    progress: Progress | None = None,
) -> ExportReport:
    """Export a checkpoint folder, or a hub id from the hub's cache, to a new bundle folder at `target`.

    Raises TargetExistsError, CheckpointError and its kinds, CertificateError (nothing is written then) and
    StorageError.
    """
    started = time.perf_counter()
    target, options = Path(target), options or ExportOptions()
    tell = progress or _silent
    refuse_existing(target)
    import_onnxruntime()  # the variant is asked at the end: better to miss it now
    plan_request = check_plan_request(options)
    checkpoint = Checkpoint.open(model)
    rim, notes = _settings(checkpoint, options)
    tokenizer = checkpoint.load_tokenizer()
    contract, letters = derive_contract(tokenizer, rim), letter_ids(tokenizer)
    limits = _limits(checkpoint, contract, options)
    weights = ModelWeights(checkpoint, letters, options.head)
    tell("Tracing the graph", 0.0)
    traced = trace(checkpoint.load_config(), contract, len(letters), options.head)
    weights.check(traced)
    with new_folder(target) as folder:
        write_tokenizer(checkpoint, folder)
        carry_license_and_card(checkpoint, folder)
        encoder = PromptEncoder.load(contract, folder / TOKENIZER, limits.question_tokens)
        asked, dropped = fitting_questions(read_questions(options.certify or CERTIFICATE_SET), encoder)
        check_prompts(tokenizer, encoder, asked)
        draft = Manifest(
            name=options.name or target.name,
            source=_source(checkpoint, tell),
            tools=tool_versions(),
            prompt=contract,
            letters=letters,
            limits=limits,
            variants=(),
            files={},
        )
        plan = choose_recipes(weights, encoder, options, asked, tell)
        writer = VariantWriter(traced, weights, Bundle(folder, draft), tell)
        tolerance = Tolerance(options.max_flips, options.keep_going)
        proven = prove_variants(writer, encoder, asked, plan.recipes, tolerance)
        questions = options.certify.name if options.certify else CERTIFICATE_SET.name
        certificate = Certificate(questions, contract.blocks, options.max_flips, proven.comparisons)
        (folder / GOLDEN).write_text("".join(f"{row.to_json()}\n" for row in proven.golden), encoding="utf-8")
        (folder / CERTIFICATE).write_text(certificate.to_json(), encoding="utf-8")
        built = build_plans(Bundle(folder, draft), proven.variants, plan_request, tell)
        manifest = replace(draft, variants=proven.variants, files=file_entries(folder), plans=built.plans)
        save_manifest(folder, manifest)
    seconds = time.perf_counter() - started
    return ExportReport(
        target, manifest, certificate, (*notes, *dropped, *plan.notes, *proven.notes, *built.notes), seconds
    )


def _silent(_: str, __: float) -> None:
    return None


def _settings(checkpoint: Checkpoint, options: ExportOptions) -> tuple[RimSettings, tuple[str, ...]]:
    """Combine the options with what the checkpoint, or else the card, says; note what is assumed."""
    stated = checkpoint.rim
    rim = stated or RimSettings()
    chosen: dict[str, Any] = {
        "blocks": options.blocks,
        "memory_tokens": options.memory_tokens,
        "prefix": options.prefix,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    notes = []
    if stated is None and len(given) < len(chosen):
        notes.append(
            f'config.json has no "rim" entry: assumed the model card\'s {rim.blocks} blocks of '
            f"{rim.memory_tokens} memory tokens and the prefix {rim.prefix!r} where nothing else was given."
        )
    return replace(rim, **given), tuple(notes)


def _limits(checkpoint: Checkpoint, contract: PromptContract, options: ExportOptions) -> Limits:
    longest = min(checkpoint.positions, options.max_length)
    question = longest - contract.fixed_tokens
    if question < 1:
        raise CheckpointError(
            f"Prompts may have {longest} tokens (the model's positions {checkpoint.positions}, --max-length "
            f"{options.max_length}), but {contract.fixed_tokens} are fixed: no room for a question. "
            "Raise --max-length or take fewer blocks."
        )
    return Limits(question_tokens=question, max_length=longest, model_positions=checkpoint.positions)


def _source(checkpoint: Checkpoint, tell: Progress) -> Source:
    tell("Hashing the checkpoint", 0.0)
    digest = checkpoint.weights_sha256()
    return Source(checkpoint.name, checkpoint.revision, str(checkpoint.config["model_type"]), digest)
