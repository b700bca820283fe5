"""Put the certificate questions to the checkpoint and to its variants, and compare (certify.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rim_runtime.backends.ort_cpu import OrtCpuBackend
from rim_runtime.bundle import Bundle, GoldenQuestion
from rim_runtime.errors import QuestionError
from rim_runtime.manifest import Head, Variant
from rim_runtime.prompt import PromptEncoder

from rim_export.bind import ModelWeights
from rim_export.certify import VariantCertificate, choose_golden, compare
from rim_export.contract import template_ids
from rim_export.errors import CertificateError
from rim_export.questions import LabelledQuestion, QuestionFileError
from rim_export.reference import reference_logits

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0..1."""

LEAST_QUESTIONS = 12
GOLDEN_POOL = 32
"""Golden questions are chosen among this many, which the certificate leaves out."""


@dataclass(frozen=True)
class Proof:
    """What asking showed."""

    comparisons: tuple[VariantCertificate, ...]
    """Each variant against the reference."""
    golden: tuple[GoldenQuestion, ...]
    """Questions that every variant answers like the reference, with a clear margin."""


def fitting_questions(
    questions: Sequence[LabelledQuestion], encoder: PromptEncoder
) -> tuple[list[LabelledQuestion], tuple[str, ...]]:
    """Return the questions that the bundle takes, and a note on those it does not.

    Raises QuestionFileError where fewer than twelve are left.
    """
    fitting = [question for question in questions if _fits(question, encoder)]
    if len(fitting) < LEAST_QUESTIONS:
        raise QuestionFileError(
            f"{len(fitting)} of {len(questions)} certificate questions fit the limit of {encoder.question_limit} "
            f"tokens, expected at least {LEAST_QUESTIONS}. Give more or shorter ones with --certify."
        )
    missing = len(questions) - len(fitting)
    return fitting, (f"{missing} certificate questions are over the limit and were left out.",) if missing else ()


def _fits(question: LabelledQuestion, encoder: PromptEncoder) -> bool:
    try:
        encoder.encode(question.text)
    except QuestionError:
        return False
    return True


def check_prompts(tokenizer: Any, encoder: PromptEncoder, questions: Sequence[LabelledQuestion]) -> None:
    """Raise CertificateError unless the runtime's prompts are the chat template's, token for token."""
    added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
    for question in questions:
        if any(token in question.text for token in added):
            continue  # the template would turn it into a control token, we never do
        prompt = encoder.compose(question.text)
        if list(prompt.head + prompt.question + prompt.tail) != template_ids(tokenizer, question.text):
            raise CertificateError(
                f"The bundle's prompt differs from the chat template's on {question.text[:60]!r}. Nothing was "
                "written. This tokenizer is not supported; please report it."
            )


def prove(
    weights: ModelWeights,
    bundle: Bundle,
    encoder: PromptEncoder,
    questions: Sequence[LabelledQuestion],
    max_flips: float,
    tell: Progress,
) -> Proof:
    """Ask reference and variants all questions with all blocks.

    Golden questions come from the first of them, the certificate from the rest. Raises CertificateError where
    an answer is not a number, a variant flips on a larger share than `max_flips`, or fewer than four golden
    questions are found.
    """
    blocks = encoder.contract.blocks
    prompts = [encoder.compose(question.text).ids for question in questions]
    reference = reference_logits(weights, prompts, lambda share: tell("Running the reference", share))
    if weights.head is Head.FULL:
        reference = reference[:, list(weights.letters.values())]
    answers = [_ask_all(bundle, variant, encoder, questions, tell) for variant in bundle.manifest.variants]
    pool = min(GOLDEN_POOL, len(questions) // 3)
    comparisons = tuple(
        compare(variant, questions[pool:], logits[pool:], reference[pool:])
        for variant, logits in zip(bundle.manifest.variants, answers, strict=True)
    )
    for comparison in comparisons:
        comparison.check(max_flips)
    golden = choose_golden(questions[:pool], [logits[:pool] for logits in answers], reference[:pool], blocks)
    return Proof(comparisons, golden)


def _ask_all(
    bundle: Bundle,
    variant: Variant,
    encoder: PromptEncoder,
    questions: Sequence[LabelledQuestion],
    tell: Progress,
) -> NDArray[np.float32]:
    """Ask every question alone, as the runtime does; float32 [n, letters]."""
    backend = OrtCpuBackend(bundle, variant)
    blocks = np.array([encoder.contract.blocks], dtype=np.int64)
    rows = []
    try:
        for number, question in enumerate(questions, start=1):
            ids = np.array([encoder.encode(question.text)], dtype=np.int64)
            rows.append(backend.run(ids, np.array([ids.shape[1]], dtype=np.int64), blocks))
            tell(f"Asking the {variant.name} variant", number / len(questions))
    finally:
        backend.close()
    return np.concatenate(rows)
