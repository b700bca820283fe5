"""Export as a list of verbs: open → convert → carry files over → choose recipes → prove variants → build plans."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
from rim_export.certification.evaluation import CertificateQuestions, check_prompts, read_certificate_questions
from rim_export.certification.widening import ProvenVariants, Tolerance, prove_variants
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import RimSettings, derive_contract, letter_ids
from rim_export.errors import CheckpointError
from rim_export.graph.convert import UnboundGraph, convert
from rim_export.progress import Progress, silent
from rim_export.questions import CERTIFICATE_SET
from rim_export.settings import ExportOptions
from rim_export.tensorrt.plans import BuiltPlans, PlanRequest, build_plans, check_plan_request
from rim_export.variant_writer import VariantWriter
from rim_export.variants import choose_recipes
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class ExportReport:
    """The result of an export."""

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

    Raises TargetExistsError, CheckpointError and its subclasses, CertificateError (nothing is written then) and
    StorageError.
    """
    started = time.perf_counter()
    target, options, tell = Path(target), options or ExportOptions(), progress or silent
    plan_request = _check_early(target, options)
    source = _open(model, options)
    weights, unbound = _convert(source, options, tell)
    with new_folder(target) as folder:
        encoder = _carry_files(source, folder)
        questions = read_certificate_questions(options.certify or CERTIFICATE_SET, encoder)
        check_prompts(source.tokenizer, encoder, questions.asked)
        bundle = Bundle(folder, _draft(source, options.name or target.name, tell))
        chosen = choose_recipes(weights, encoder, options, questions.asked, tell)
        tolerance = Tolerance(options.max_flips, options.keep_going)
        writer = VariantWriter(unbound, weights, bundle, tell)
        proven = prove_variants(writer, encoder, questions.asked, chosen.recipes, tolerance)
        certificate = _write_proof(bundle, questions, proven, tolerance)
        built = build_plans(bundle, proven.variants, plan_request, tell)
        manifest = _write_manifest(bundle, proven, built)
    notes = (*source.notes, *questions.notes, *chosen.notes, *proven.notes, *built.notes)
    return ExportReport(target, manifest, certificate, notes, time.perf_counter() - started)


@dataclass(frozen=True)
class _Source:
    """The checkpoint, read and checked; its weights are still on the disk."""

    checkpoint: Checkpoint
    tokenizer: Any
    contract: PromptContract
    letters: Mapping[str, int]
    limits: Limits
    notes: tuple[str, ...]


def _check_early(target: Path, options: ExportOptions) -> PlanRequest | None:
    """Refuse early what would fail at the end, and return which plans are requested."""
    refuse_existing(target)
    import_onnxruntime()  # every variant is asked
    return check_plan_request(options)


def _open(model: str | Path, options: ExportOptions) -> _Source:
    checkpoint = Checkpoint.open(model)
    rim, notes = _settings(checkpoint, options)
    tokenizer = checkpoint.load_tokenizer()
    contract, letters = derive_contract(tokenizer, rim), letter_ids(tokenizer)
    return _Source(checkpoint, tokenizer, contract, letters, _limits(checkpoint, contract, options), notes)


def _convert(source: _Source, options: ExportOptions, tell: Progress) -> tuple[ModelWeights, UnboundGraph]:
    weights = ModelWeights(source.checkpoint, source.letters, options.head)
    tell("Converting the model", 0.0)
    unbound = convert(source.checkpoint.load_config(), source.contract, len(source.letters), options.head)
    weights.check(unbound)
    return weights, unbound


def _carry_files(source: _Source, folder: Path) -> PromptEncoder:
    """Write the files that the bundle takes from the checkpoint, and return the encoder for its tokenizer."""
    write_tokenizer(source.checkpoint, folder)
    carry_license_and_card(source.checkpoint, folder)
    return PromptEncoder.load(source.contract, folder / TOKENIZER, source.limits.question_tokens)


def _draft(source: _Source, name: str, tell: Progress) -> Manifest:
    """Return the manifest as far as it is known before any variant is written."""
    return Manifest(
        name=name,
        source=_describe(source.checkpoint, tell),
        tools=tool_versions(),
        prompt=source.contract,
        letters=source.letters,
        limits=source.limits,
        variants=(),
        files={},
    )


def _write_proof(
    bundle: Bundle, questions: CertificateQuestions, proven: ProvenVariants, tolerance: Tolerance
) -> Certificate:
    """Write the golden questions and the certificate."""
    blocks = bundle.manifest.prompt.blocks
    certificate = Certificate(questions.name, blocks, tolerance.max_flips, proven.comparisons)
    golden = "".join(f"{row.to_json()}\n" for row in proven.golden)
    (bundle.path / GOLDEN).write_text(golden, encoding="utf-8")
    (bundle.path / CERTIFICATE).write_text(certificate.to_json(), encoding="utf-8")
    return certificate


def _write_manifest(bundle: Bundle, proven: ProvenVariants, built: BuiltPlans) -> Manifest:
    files = file_entries(bundle.path)
    manifest = replace(bundle.manifest, variants=proven.variants, files=files, plans=built.plans)
    save_manifest(bundle.path, manifest)
    return manifest


def _settings(checkpoint: Checkpoint, options: ExportOptions) -> tuple[RimSettings, tuple[str, ...]]:
    """Combine the options with the checkpoint's settings, or else the card's; note what is assumed."""
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


def _describe(checkpoint: Checkpoint, tell: Progress) -> Source:
    tell("Hashing the checkpoint", 0.0)
    digest = checkpoint.weights_sha256()
    return Source(checkpoint.name, checkpoint.revision, str(checkpoint.config["model_type"]), digest)
