"""Ask the checkpoint and its variants the same questions; comparison.py compares the answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rim_runtime.bundle.folder import Bundle, GoldenQuestion
from rim_runtime.bundle.manifest import Head, Precision, Variant
from rim_runtime.engines.backend import Backend
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.engines.shapes import similar_lengths
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.certification.certificate import VariantCertificate
from rim_export.certification.comparison import compare
from rim_export.certification.golden import choose_golden, clearly_answered
from rim_export.certification.torch_engine import TorchBackend, needs_torch
from rim_export.checkpoint.prompt import template_ids
from rim_export.errors import CertificateError
from rim_export.measure.reference import run_reference
from rim_export.measure.streamed import TOKENS_AT_ONCE
from rim_export.progress import Progress
from rim_export.question_parts import QuestionParts
from rim_export.questions import LabelledQuestion
from rim_export.recipes.recipe import Emulate, Recipe
from rim_export.weights.model_weights import ModelWeights

WIDENED_EACH_RUN = frozenset({Precision.FP8})
"""Precisions whose weights the CPU engine widens in every run; asked in batches, to widen them less often."""


@dataclass(frozen=True)
class AnsweredQuestions:
    """Questions with the checkpoint's own answers."""

    questions: Sequence[LabelledQuestion]
    """The questions."""
    reference: NDArray[np.float32]
    """The checkpoint's letter logits, [questions, letters]."""


@dataclass(frozen=True)
class Evaluation:
    """The questions a variant has to answer, with the checkpoint's own answers."""

    encoder: PromptEncoder
    """Encodes questions as the runtime does."""
    pool: AnsweredQuestions
    """Questions that the certificate leaves out: first the candidates for golden ones, then the choice's."""
    candidates: int
    """How many of the pool are candidates for golden questions."""
    certified: AnsweredQuestions
    """The certificate's questions."""
    layer_errors: Mapping[Emulate, tuple[float, ...]]
    """For each recipe's arithmetic, the relative error that it adds to each layer's update (tokens' mean)."""

    def errors_of(self, recipe: Recipe) -> tuple[float, ...]:
        """Return the error of each layer under this recipe; empty if it uses the checkpoint's arithmetic."""
        return self.layer_errors[recipe.emulate] if recipe.emulate else ()


@dataclass(frozen=True)
class VariantEvaluation:
    """The results of one variant."""

    logits: NDArray[np.float32]
    """Its letter logits, [questions, letters]."""
    comparison: VariantCertificate
    """Its comparison with the checkpoint on them."""
    seconds: float
    """Mean time per answer, on this machine."""


def check_prompts(tokenizer: Any, encoder: PromptEncoder, questions: Sequence[LabelledQuestion]) -> None:
    """Raise CertificateError unless the runtime's prompts equal the chat template's, token for token."""
    added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
    for question in questions:
        if any(token in question.text for token in added):
            continue  # the template would make it a control token, the runtime never does
        prompt = encoder.compose(question.text)
        if list(prompt.head + prompt.question + prompt.tail) != template_ids(tokenizer, question.text):
            raise CertificateError(
                f"The bundle's prompt differs from the chat template's on {question.text[:60]!r}. Nothing was "
                "written. This tokenizer is not supported; please report it."
            )


def prepare_evaluation(
    weights: ModelWeights,
    encoder: PromptEncoder,
    parts: QuestionParts,
    recipes: Sequence[Recipe],
    tell: Progress,
) -> Evaluation:
    """Ask the checkpoint all questions with all blocks in fp32, and measure the recipes' error in each layer."""
    prompts = [encoder.compose(question.text).ids for question in parts.everything]
    emulations = list(dict.fromkeys(recipe.emulate for recipe in recipes if recipe.emulate))
    found = run_reference(weights, prompts, emulations, lambda share: tell("Running the reference", share))
    full = weights.head is Head.FULL
    logits = found.logits[:, list(weights.letters.values())] if full else found.logits
    pool = len(parts.pool)
    return Evaluation(
        encoder,
        AnsweredQuestions(parts.pool, logits[:pool]),
        len(parts.golden),
        AnsweredQuestions(parts.certified, logits[pool:]),
        found.layer_errors,
    )


def evaluate_variant(
    evaluation: Evaluation,
    asked: AnsweredQuestions,
    bundle: Bundle,
    variant: Variant,
    recipe: Recipe,
    tell: Progress,
) -> VariantEvaluation:
    """Ask a variant questions with all blocks, as the runtime does, or in torch if the runtime cannot run it.

    Raises CertificateError if logits are not finite.
    """
    backend: Backend = TorchBackend(bundle, variant) if needs_torch(variant) else OrtCpuBackend(bundle, variant)
    texts = [question.text for question in asked.questions]
    started = time.perf_counter()
    try:
        logits = _ask(evaluation.encoder, texts, backend, lambda share: tell(f"Asking {variant.name}", share))
    finally:
        backend.close()
    seconds = (time.perf_counter() - started) / len(logits)
    errors = evaluation.errors_of(recipe)
    comparison = compare(variant, asked.questions, logits, asked.reference, errors)
    comparison = replace(comparison, computed_with=backend.fingerprint.partition(",")[0])
    return VariantEvaluation(logits, comparison, seconds)


def _ask(
    encoder: PromptEncoder, texts: Sequence[str], backend: Backend, report: Callable[[float], None]
) -> NDArray[np.float32]:
    """Return the letter logits of all questions, [questions, letters]; asked one by one if that costs little."""
    contract = encoder.contract
    asked = [encoder.encode(text) for text in texts]
    batches = [[number] for number in range(len(asked))]
    if backend.precision in WIDENED_EACH_RUN or isinstance(backend, TorchBackend):
        batches = similar_lengths([len(ids) + contract.fixed_tokens for ids in asked], TOKENS_AT_ONCE)
    found: dict[int, NDArray[np.float32]] = {}
    for members in batches:
        rows = _ask_batch(backend, [asked[member] for member in members], contract.blocks)
        found |= dict(zip(members, rows, strict=True))
        report(len(found) / len(asked))
    return np.stack([found[number] for number in range(len(asked))])


def _ask_batch(backend: Backend, asked: Sequence[Sequence[int]], blocks: int) -> NDArray[np.float32]:
    lengths = np.array([len(ids) for ids in asked], np.int64)
    padded = np.zeros((len(asked), int(lengths.max())), np.int64)
    for row, ids in zip(padded, asked, strict=True):
        row[: len(ids)] = ids
    return backend.run(padded, lengths, np.full(len(asked), blocks, np.int64))


def clear_candidates(evaluation: Evaluation, result: VariantEvaluation, clear_margin: float) -> NDArray[np.bool_]:
    """Return which golden candidates a variant answers like the checkpoint, with a clear margin.

    `result` is on the pool; bool [candidates].
    """
    pool, count = evaluation.pool, evaluation.candidates
    return clearly_answered(pool.questions[:count], result.logits[:count], pool.reference[:count], clear_margin)


def golden_questions(
    evaluation: Evaluation, results: Mapping[str, VariantEvaluation], clear_margin: float
) -> tuple[GoldenQuestion, ...]:
    """Choose golden questions that all variants answer with a clear margin.

    `results`, on the pool, by the variants' names. Raises CertificateError if there are too few.
    """
    pool, count, blocks = evaluation.pool, evaluation.candidates, evaluation.encoder.contract.blocks
    answers = {name: result.logits[:count] for name, result in results.items()}
    return choose_golden(pool.questions[:count], answers, pool.reference[:count], blocks, clear_margin)
