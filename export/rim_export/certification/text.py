"""The certificate of a decoder: it writes, token for token, what the checkpoint would write.

The decoder answers questions greedily. The checkpoint, in fp32 and with its own attention, then says of each token
whether it had written the same there. If it says so of all of them, both wrote the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rim_runtime.bundle.manifest import Precision, Variant
from rim_runtime.bundle.roles import RoleGraph
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.certification.certificate import TextCertificate
from rim_export.certification.comparison import near_tie
from rim_export.certification.decoder_session import DecoderSession
from rim_export.certification.latent import LatentProof
from rim_export.certification.widening import ProvenVariants
from rim_export.decoder_writer import DecoderWriter
from rim_export.errors import CertificateError
from rim_export.latent_writer import LatentModel
from rim_export.measure.continuations import continuation_logits
from rim_export.progress import Progress
from rim_export.recipes.recipe import Recipe
from rim_export.weights.model_weights import ModelWeights

QUESTIONS, TOKENS = 8, 12
"""Questions that are answered, and tokens of each answer."""
_MOST_CHANGED = 0.25
"""Share of tokens a narrow precision may change where the checkpoint was decided: int4 changes 18 % of SmolLM2's
(docs/precisions.md); a decoder that is wrong changes nearly all."""


_SAME_SUMS = 1e-3
"""A difference in logits, fp32, that the order of sums alone can make: a token is no fault for that."""


@dataclass(frozen=True)
class ProvenDecoders:
    """The decoders of a bundle, each of which passed."""

    graphs: tuple[RoleGraph, ...] = ()
    """Their manifest entries."""
    comparisons: tuple[TextCertificate, ...] = ()
    """Each one's comparison with the checkpoint."""


def prove_decoders(
    writer: DecoderWriter, proof: TextProof, variants: ProvenVariants, recipes: Sequence[Recipe]
) -> ProvenDecoders:
    """Write a decoder beside each of these variants, and certify it.

    Raises CertificateError if one changes too many tokens.
    """
    graphs, comparisons = [], []
    for variant, recipe, widened in zip(variants.variants, recipes, variants.parts, strict=True):
        graphs.append(writer.write(recipe, variant, widened))
        comparisons.append(proof.certify(variant, writer.bundle.path / graphs[-1].graph))
    return ProvenDecoders(tuple(graphs), tuple(comparisons))


@dataclass(frozen=True)
class TextProof:
    """What decoders are asked, and when they are good enough."""

    weights: ModelWeights
    """The checkpoint's tensors."""
    prompts: tuple[tuple[int, ...], ...]
    """Token ids of the prompts."""
    any_change: bool
    """Whether narrow precisions may change any token, as where `max_flips` is 1."""
    tell: Progress
    """Called with what is being done."""
    latent: LatentProof | None = None
    """Latent steps between the prompts and the answers, if there are any."""

    def certify(self, variant: Variant, graph: Path) -> TextCertificate:
        """Let a variant's decoder answer, and compare. Raises CertificateError if too many tokens differ."""
        session, label = DecoderSession(graph, variant.precision), f"Writing with {variant.name}"
        follow = partial(self.latent.follow, session) if self.latent else None
        answers: list[tuple[int, ...]] = []
        ours: list[NDArray[np.float32]] = []
        for prompt in self.prompts:
            tokens, logits = session.greedy(prompt, TOKENS, follow)
            answers.append(tokens)
            ours.append(logits)
            self.tell(label, len(answers) / len(self.prompts))
        read = f"Reading what {variant.name} wrote"
        theirs = self._reference(answers, lambda share: self.tell(read, share))
        found = compare_text(variant, len(self.prompts), np.concatenate(ours), np.concatenate(theirs))
        found = replace(found, latent_steps=self.latent.latent.steps if self.latent else 0)
        self._require(variant, found)
        return found

    def _reference(
        self, answers: Sequence[Sequence[int]], report: Callable[[float], None]
    ) -> list[NDArray[np.float32]]:
        """Return the checkpoint's logits before each token of the answers, behind its own latent steps."""
        if self.latent is None:
            return continuation_logits(self.weights, self.prompts, answers, report)
        prompts = [self.latent.read(prompt) for prompt in self.prompts]
        return continuation_logits(self.weights, prompts, answers, report, vectors=self.latent.vectors)

    def _require(self, variant: Variant, found: TextCertificate) -> None:
        changed, narrow = found.changed - found.near_ties, variant.precision is not Precision.FP32
        most = (found.tokens if self.any_change else int(found.tokens * _MOST_CHANGED)) if narrow else 0
        if changed > most:
            raise CertificateError(
                f"The decoder of {variant.name} writes {changed} of {found.tokens} tokens otherwise than the "
                f"checkpoint, where that was decided; allowed are {most}. Nothing was written. Take a wider "
                "--precision, or leave --answers text out."
            )


def compare_text(
    variant: Variant, questions: int, logits: NDArray[np.float32], reference: NDArray[np.float32]
) -> TextCertificate:
    """Compare logits before each token, [tokens, vocabulary]. Raises CertificateError if some are not finite."""
    if not (np.isfinite(logits).all() and np.isfinite(reference).all()):
        raise CertificateError(f"The decoder of {variant.name} or the checkpoint gave logits that are not finite.")
    written = logits.argmax(axis=-1)
    changed = written != reference.argmax(axis=-1)
    regrets = reference.max(axis=-1) - reference[np.arange(len(written)), written]
    theirs, ours = _log_softmax(reference), _log_softmax(logits)
    return TextCertificate(
        variant=variant.name,
        questions=questions,
        tokens=len(logits),
        changed=int(changed.sum()),
        near_ties=int((changed & (regrets < max(near_tie(variant.precision), _SAME_SUMS))).sum()),
        mean_kl=float((np.exp(theirs) * (theirs - ours)).sum(axis=-1).mean()),
    )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def text_prompts(
    encoder: PromptEncoder, questions: Sequence[str], latent: LatentModel | None = None
) -> tuple[tuple[int, ...], ...]:
    """Return the prompts of text answers, up to the first latent step if there are any.

    Without such steps they end in memory blocks and prefix, or, without blocks, as a chat's.
    """
    if latent is not None:
        return latent.prompts(encoder, questions[:QUESTIONS])
    return tuple(encoder.compose_text(question, encoder.contract.blocks) for question in questions[:QUESTIONS])
