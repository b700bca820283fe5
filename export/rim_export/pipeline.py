"""Export as a list of verbs: check → carry files → convert → choose recipes → prove variants → build plans."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rim_runtime.bundle.folder import CERTIFICATE, GOLDEN, TOKENIZER, Bundle, file_entries, save_manifest
from rim_runtime.bundle.manifest import Limits, Manifest, Source
from rim_runtime.bundle.roles import Decoding, optional_entries
from rim_runtime.bundle.widened import WIDENED
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.machine.cpu import this_cpu
from rim_runtime.machine.storage import clear_unfinished, new_folder
from rim_runtime.prompt.contract import PromptContract
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.bundle_files import (
    carry_license_and_card,
    tool_versions,
    write_tokenizer,
    write_transformers_record,
)
from rim_export.certification.attempts import Tolerance
from rim_export.certification.certificate import Certificate
from rim_export.certification.evaluation import check_prompts
from rim_export.certification.evidence import few_questions_note, require_enough
from rim_export.certification.golden import MOST as MOST_GOLDEN
from rim_export.certification.latent import prepare_latent_proof
from rim_export.certification.provenance import describe_recipe
from rim_export.certification.text import ProvenDecoders, TextProof, prove_decoders, text_prompts
from rim_export.certification.trace import QUESTIONS as TRACED
from rim_export.certification.trace import ProvenTraces, TraceProof, prove_traces
from rim_export.certification.trials import write_report
from rim_export.certification.widening import ProvenVariants, prove_variants
from rim_export.checkpoint.added_words import refuse_added_words
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.letter_seam import letter_seam_note
from rim_export.checkpoint.prompt import letter_ids
from rim_export.checkpoint.template import read_template, template_date
from rim_export.chosen_prompt import choose_contract, choose_limits
from rim_export.decoder_writer import DecoderWriter, decoding_of
from rim_export.errors import CalibrationError, CheckpointError, VariantRefusedError
from rim_export.graph.convert import UnboundGraph, convert
from rim_export.graph.decoder import convert_decoder
from rim_export.graph.readouts import convert_trace
from rim_export.latent_writer import LatentModel, read_latent
from rim_export.preflight import check_request
from rim_export.progress import Progress, silent
from rim_export.question_sets import (
    CalibrationSet,
    CertificateQuestions,
    read_calibration,
    read_certificate_questions,
)
from rim_export.questions import CALIBRATION_SET, CERTIFICATE_SET
from rim_export.settings import AnswerForm, ExportOptions
from rim_export.tensorrt.plans import BuiltPlans, PlanRequest, build_plans, check_plan_request
from rim_export.trace_writer import TraceWriter
from rim_export.variant_writer import VariantWriter
from rim_export.variants import ChosenRecipes, choose_recipes
from rim_export.weights.model_weights import ModelWeights
from rim_export.weights.unused import refuse_unused


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

    Raises what `check_request` raises, and CertificateError and its subclasses: nothing is written then, except
    `options.report`.
    """
    started = time.perf_counter()
    target, options, tell = Path(target), options or ExportOptions(), progress or silent
    checkpoint = check_request(model, target, options)
    plan_request = _check_tools(options)
    source = _read(checkpoint, options)
    cleared = tuple(map(_cleared_note, clear_unfinished(target.parent)))
    with new_folder(target) as folder:  # of two exports to one target, the second is refused here, before the work
        encoder = _carry_files(source, folder)
        questions, measured_on = _read_questions(source, encoder, options)
        bundle = Bundle(folder, _draft(source, options.name or target.name, tell))
        weights, unbound = _convert(source, options, tell)
        chosen = choose_recipes(weights, options, measured_on, tell)
        writer = VariantWriter(unbound, weights, bundle, tell)
        proven = _prove(writer, encoder, questions, chosen, options)
        decoders = _prove_decoders(writer, source, encoder, questions, chosen, proven, options)
        traces = _prove_traces(writer, encoder, questions, chosen, proven, decoders, options)
        asked, further = _Asked(questions, measured_on), _Further(decoders, traces)
        certificate = _write_proof(bundle, source, asked, chosen, proven, further, options)
        built = build_plans(bundle, proven.variants, plan_request, tell)
        manifest = _write_manifest(bundle, source, proven, further, built)
    notes = (
        *cleared,
        *source.notes,
        *_question_notes(questions, options),
        *chosen.notes,
        *proven.notes,
        *built.notes,
    )
    return ExportReport(target, manifest, certificate, notes, time.perf_counter() - started)


@dataclass(frozen=True)
class _Source:
    """The checkpoint, read and checked; its weights are still on the disk."""

    checkpoint: Checkpoint
    tokenizer: Any
    contract: PromptContract
    letters: Mapping[str, int]
    limits: Limits
    decoding: Decoding | None
    latent: LatentModel | None
    notes: tuple[str, ...]


def _cleared_note(path: Path) -> str:
    return f"Removed {path}, which an export or a training run left that was killed while it wrote."


def _check_tools(options: ExportOptions) -> PlanRequest | None:
    """Import what answers and what builds, and return which plans are requested."""
    import_onnxruntime()  # every variant is asked
    return check_plan_request(options)


def _read(checkpoint: Checkpoint, options: ExportOptions) -> _Source:
    template = None if options.template is None else read_template(options.template)
    tokenizer = checkpoint.load_tokenizer(template)
    latent, assumed = read_latent(checkpoint, tokenizer, options)
    prompt = replace(options, blocks=0) if latent else options
    contract, notes = choose_contract(checkpoint, tokenizer, prompt)
    letters = letter_ids(tokenizer)
    refuse_added_words(tokenizer)
    _check_ids(checkpoint, contract, letters)
    seam = letter_seam_note(tokenizer, contract.prefix_text, letters)
    notes = (*notes, *((seam,) if seam else ()), *assumed)
    limits = choose_limits(checkpoint, contract, options)
    decoding = decoding_of(checkpoint, tokenizer) if options.answers is AnswerForm.TEXT else None
    return _Source(checkpoint, tokenizer, contract, letters, limits, decoding, latent, notes)


def _check_ids(checkpoint: Checkpoint, contract: PromptContract, letters: Mapping[str, int]) -> None:
    """Raise CheckpointError if the prompt's own tokens are beyond the rows of the embedding table."""
    rows = checkpoint.sizes.vocabulary
    own = (*contract.head, *contract.tail, *contract.block, *contract.prefix, *letters.values())
    if max(own) >= rows:
        raise CheckpointError(
            f"The tokenizer's ids of the prompt reach {max(own)}, the embedding table has {rows} rows: the model "
            "was not resized when tokens were added. Train it with its RiM tokens: rim-edge train"
        )


def _read_questions(
    source: _Source, encoder: PromptEncoder, options: ExportOptions
) -> tuple[CertificateQuestions, CalibrationSet | None]:
    """Return the certificate's questions, and those to measure activations on if a recipe needs it."""
    questions = read_certificate_questions(
        options.certify or CERTIFICATE_SET, encoder, options.golden, keep_going=options.keep_going
    )
    require_enough(len(questions.parts.certified), _tolerance(options))
    check_prompts(source.tokenizer, encoder, questions.parts.everything)
    if not options.calibrates:
        return questions, None
    path = options.calibration or CALIBRATION_SET
    try:
        text = options.answers is AnswerForm.TEXT
        return questions, read_calibration(path, encoder, questions.parts.everything, text=text)
    except CalibrationError as error:
        if options.calibration or options.must_calibrate:
            raise
        note = f"Weights are rounded to the nearest, since nothing could be measured: {error}"
        return replace(questions, notes=(*questions.notes, note)), None


def _question_notes(questions: CertificateQuestions, options: ExportOptions) -> tuple[str, ...]:
    """Return what was left out, what so few questions cannot show, and what of the user's own travels along."""
    few = few_questions_note(len(questions.parts.certified), _tolerance(options))
    travels = (
        f"Up to {MOST_GOLDEN} questions of {questions.golden_source.name} are in the bundle word for word, as its "
        "golden questions; --golden FILE takes them from another file."
    )
    own = options.certify is not None and options.golden is None
    return (*questions.notes, *((few,) if few else ()), *((travels,) if own else ()))


def _tolerance(options: ExportOptions) -> Tolerance:
    return Tolerance(options.max_flips, options.keep_going, options.closer, options.max_flips_upper)


def _convert(source: _Source, options: ExportOptions, tell: Progress) -> tuple[ModelWeights, UnboundGraph]:
    weights = ModelWeights(source.checkpoint, source.letters, options.head)
    refuse_unused(weights)
    tell("Converting the model", 0.0)
    unbound = convert(source.checkpoint.load_config(), source.contract, len(source.letters), options.head)
    weights.check(unbound)
    return weights, unbound


def _carry_files(source: _Source, folder: Path) -> PromptEncoder:
    """Write the files that the bundle takes from the checkpoint, and return the encoder for its tokenizer."""
    write_tokenizer(source.checkpoint, folder)
    carry_license_and_card(source.checkpoint, folder)
    if source.latent:
        source.latent.write_head(folder)
    if source.decoding:
        write_transformers_record(source.checkpoint, source.tokenizer, folder)
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
        optional=_template_date(source.tokenizer),
    )


def _template_date(tokenizer: Any) -> Mapping[str, str]:
    """Return the manifest's word on what the prompt gives as today's date; empty if it gives none."""
    date = template_date(str(tokenizer.chat_template))
    return {"template_date": date} if date else {}


def _prove(
    writer: VariantWriter,
    encoder: PromptEncoder,
    questions: CertificateQuestions,
    chosen: ChosenRecipes,
    options: ExportOptions,
) -> ProvenVariants:
    """Write and prove the variants; write the report that was asked for, whether they pass or not."""
    try:
        proven = prove_variants(writer, encoder, questions.parts, chosen.recipes, _tolerance(options))
    except VariantRefusedError as refused:
        if options.report:
            write_report(options.report, questions.source.name, options.max_flips, refused.trials, str(refused))
            refused.add_note(f"What every attempt answered is in {options.report}.")
        else:
            refused.add_note("To see which answers changed, add --report FILE.")
        raise
    if options.report:
        write_report(options.report, questions.source.name, options.max_flips, proven.trials)
    return proven


def _prove_decoders(
    writer: VariantWriter,
    source: _Source,
    encoder: PromptEncoder,
    questions: CertificateQuestions,
    chosen: ChosenRecipes,
    proven: ProvenVariants,
    options: ExportOptions,
) -> ProvenDecoders:
    """Write and prove the variants' decoders, if text was asked for."""
    if options.answers is AnswerForm.LETTERS:
        return ProvenDecoders()
    checkpoint, tell = writer.weights.checkpoint, writer.tell
    tell("Converting the decoder", 0.0)
    unbound = convert_decoder(checkpoint.load_config(), checkpoint.sizes)
    latent = source.latent
    prompts = text_prompts(encoder, [question.text for question in questions.parts.certified], latent)
    steps = prepare_latent_proof(latent, writer.bundle.path, writer.weights, prompts, tell) if latent else None
    proof = TextProof(writer.weights, prompts, options.max_flips == 1.0, tell, steps)
    return prove_decoders(DecoderWriter(unbound, writer.weights, writer.bundle), proof, proven, chosen.recipes)


def _prove_traces(
    writer: VariantWriter,
    encoder: PromptEncoder,
    questions: CertificateQuestions,
    chosen: ChosenRecipes,
    proven: ProvenVariants,
    decoders: ProvenDecoders,
    options: ExportOptions,
) -> ProvenTraces:
    """Write and prove the variants' traces, if they were asked for."""
    if not options.trace:
        return ProvenTraces()
    weights, tell, with_text = writer.weights, writer.tell, options.answers is AnswerForm.TEXT
    tell("Converting the trace", 0.0)
    config, letters = weights.checkpoint.load_config(), len(weights.letters)
    unbound = convert_trace(config, encoder.contract, letters, weights.head, with_text)
    texts = [question.text for question in questions.parts.certified[:TRACED]]
    proof = TraceProof(weights, encoder, texts, with_text, options.max_flips == 1.0, tell)
    trace_writer = TraceWriter(unbound, weights, writer.bundle)
    return prove_traces(trace_writer, proof, proven, chosen.recipes, decoders.graphs)


@dataclass(frozen=True)
class _Further:
    """The graphs besides the single passes."""

    decoders: ProvenDecoders
    traces: ProvenTraces


@dataclass(frozen=True)
class _Asked:
    """What an export's questions were."""

    questions: CertificateQuestions
    measured_on: CalibrationSet | None


def _write_proof(
    bundle: Bundle,
    source: _Source,
    asked: _Asked,
    chosen: ChosenRecipes,
    proven: ProvenVariants,
    further: _Further,
    options: ExportOptions,
) -> Certificate:
    """Write the golden questions and the certificate."""
    questions, parts = asked.questions, asked.questions.parts
    recipes = (describe_recipe(recipe, options, asked.measured_on) for recipe in chosen.recipes)
    certificate = Certificate(
        questions=questions.source.name,
        blocks=bundle.manifest.prompt.blocks,
        max_flips=options.max_flips,
        variants=tuple(replace(one, recipe=told) for one, told in zip(proven.comparisons, recipes, strict=True)),
        questions_sha256=questions.source.sha256,
        golden=questions.golden_source.name,
        golden_sha256=questions.golden_source.sha256,
        golden_candidates=len(parts.golden),
        chosen_on=len(parts.pool) if options.keep_going else 0,
        max_flips_upper=options.max_flips_upper,
        family=bundle.manifest.source.architecture,
        checkpoint_files=source.checkpoint.files_sha256(),
        tools=bundle.manifest.tools,
        processor=this_cpu().fingerprint,
        text=further.decoders.comparisons,
        traces=further.traces.comparisons,
    )
    golden = "".join(f"{row.to_json()}\n" for row in proven.golden)
    (bundle.path / GOLDEN).write_text(golden, encoding="utf-8")
    (bundle.path / CERTIFICATE).write_text(certificate.to_json(), encoding="utf-8")
    return certificate


def _write_manifest(
    bundle: Bundle, source: _Source, proven: ProvenVariants, further: _Further, built: BuiltPlans
) -> Manifest:
    files = file_entries(bundle.path)
    optional = dict(bundle.manifest.optional) | ({WIDENED: proven.widened} if proven.widened else {})
    optional |= optional_entries((*further.decoders.graphs, *further.traces.graphs), source.decoding)
    optional |= source.latent.entries if source.latent else {}
    manifest = replace(
        bundle.manifest, variants=proven.variants, files=files, plans=built.plans, optional=optional
    )
    save_manifest(bundle.path, manifest)
    return manifest


def _describe(checkpoint: Checkpoint, tell: Progress) -> Source:
    tell("Hashing the checkpoint", 0.0)
    digest = checkpoint.weights_sha256()
    return Source(checkpoint.name, checkpoint.revision, str(checkpoint.config["model_type"]), digest)
