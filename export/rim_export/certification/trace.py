"""The certificate of a trace: behind each number of blocks it answers like the checkpoint, and like asking.

The checkpoint, in fp32 and with its own attention, reads each question anew for every number of blocks; so does
the variant's single pass. Neither packs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import read_graph
from rim_runtime.bundle.manifest import Head, Precision, Variant
from rim_runtime.bundle.roles import RoleGraph
from rim_runtime.engines.backend import MANY, run_rows
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.engines.traces.ort_cpu import OrtCpuTrace
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.certification.certificate import TraceCertificate
from rim_export.certification.comparison import near_tie, offered_columns
from rim_export.certification.widening import ProvenVariants
from rim_export.errors import CertificateError
from rim_export.measure.reference import run_reference
from rim_export.progress import Progress
from rim_export.recipes.recipe import Recipe
from rim_export.trace_writer import TraceWriter
from rim_export.weights.model_weights import ModelWeights

QUESTIONS = 8
"""Questions that are traced."""
_MOST_CHANGED = 0.25
"""Share of readouts that a narrow precision may change where the checkpoint was decided. How well the precision
answers says the variant's own certificate; this finds a trace that is wrong."""
_SAME_SUMS = 1e-3
"""A difference in logits, fp32, that the order of sums alone can make."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ProvenTraces:
    """The traces of a bundle, each of which passed."""

    graphs: tuple[RoleGraph, ...] = ()
    """Their manifest entries."""
    comparisons: tuple[TraceCertificate, ...] = ()
    """Each one's comparison."""


def prove_traces(
    writer: TraceWriter,
    proof: TraceProof,
    variants: ProvenVariants,
    recipes: Sequence[Recipe],
    decoders: Sequence[RoleGraph],
) -> ProvenTraces:
    """Write a trace beside each of these variants, and certify it.

    Raises CertificateError if one answers otherwise.
    """
    by_variant = {one.variant: one for one in decoders}
    graphs, comparisons = [], []
    for variant, recipe, widened in zip(variants.variants, recipes, variants.parts, strict=True):
        graph = writer.write(recipe, variant, widened, by_variant.get(variant.name))
        graphs.append(graph)
        comparisons.append(proof.certify(writer.bundle, variant, graph))
    return ProvenTraces(tuple(graphs), tuple(comparisons))


@dataclass(frozen=True)
class Readout:
    """Logits behind 0, 1, …, K blocks, of a trace or of what it is compared with."""

    letters: Floats
    """[questions, K+1, letters]."""
    tokens: Floats | None = None
    """[questions, K+1, vocabulary]; None where no text is read."""


@dataclass(frozen=True)
class TraceProof:
    """What traces are asked, and when they are good enough."""

    weights: ModelWeights
    """The checkpoint's tensors."""
    encoder: PromptEncoder
    """Encodes the questions as the runtime does."""
    questions: Sequence[str]
    """The questions."""
    with_text: bool
    """Whether a text's first token is read too."""
    any_change: bool
    """Whether narrow precisions may change any readout, as where `max_flips` is 1."""
    tell: Progress
    """Called with what is being done."""

    def certify(self, bundle: Bundle, variant: Variant, graph: RoleGraph) -> TraceCertificate:
        """Compare a variant's trace with the checkpoint and with the variant's single pass.

        Raises CertificateError if it answers otherwise than one of them.
        """
        self.tell(f"Tracing with {variant.name}", 0.0)
        ours = self._traced(bundle, replace(variant, graph=graph.graph, dialect=graph.dialect))
        masks = np.stack([offered_columns(question) for question in self.questions])[:, None]
        found = compare_trace(variant, masks, ours, self._asked(bundle, variant), self._reference)
        self._require(variant, found)
        return found

    def _traced(self, bundle: Bundle, entry: Variant) -> Readout:
        engine = OrtCpuTrace(bundle, entry, MANY, read_graph(bundle, entry))
        rows = [self.encoder.encode(question) for question in self.questions]
        found = [engine.run(np.array([ids], np.int64), np.array([len(ids)], np.int64)) for ids in rows]
        engine.close()
        tokens = [one.tokens for one in found if one.tokens is not None and self.with_text]
        return Readout(np.concatenate([one.letters for one in found]), np.concatenate(tokens) if tokens else None)

    def _asked(self, bundle: Bundle, variant: Variant) -> Floats:
        backend = OrtCpuBackend(bundle, variant)
        rows = [self.encoder.encode(question) for question in self.questions]
        found = [[run_rows(backend, [ids], blocks)[0] for blocks in self._blocks] for ids in rows]
        backend.close()
        return np.array(found)

    @property
    def _blocks(self) -> range:
        return range(self.encoder.contract.blocks + 1)

    @cached_property
    def _reference(self) -> Readout:
        """The checkpoint's own readouts."""
        prompts = [self.encoder.compose(question, k).ids for question in self.questions for k in self._blocks]
        weights = replace(self.weights, head=Head.FULL) if self.with_text else self.weights
        label = "Running the reference behind every block"
        logits = run_reference(weights, prompts, report=lambda share: self.tell(label, share)).logits
        logits = logits.reshape(len(self.questions), len(self._blocks), -1)
        if weights.head is Head.LETTERS:
            return Readout(logits)
        return Readout(logits[..., list(weights.letters.values())], logits if self.with_text else None)

    def _require(self, variant: Variant, found: TraceCertificate) -> None:
        narrow = variant.precision is not Precision.FP32
        readouts = found.questions * len(found.flips) * (1 if found.changed_tokens is None else 2)
        most = (readouts if self.any_change else int(readouts * _MOST_CHANGED)) if narrow else 0
        changed = sum(found.flips) + (found.changed_tokens or 0) - found.near_ties
        if changed > most:
            raise CertificateError(
                f"The trace of {variant.name} answers {changed} of {readouts} readouts otherwise than the "
                f"checkpoint, where that was decided; allowed are {most}. Nothing was written. Take a wider "
                "--precision, or leave --trace out."
            )
        if found.unlike_asking:
            raise CertificateError(
                f"The trace of {variant.name} answers {found.unlike_asking} of {readouts} readouts otherwise than "
                f"asking with as many blocks, expected none. Nothing was written. Leave --trace out, and please "
                "report it."
            )


def compare_trace(
    variant: Variant, masks: NDArray[np.bool_], ours: Readout, asked: Floats, theirs: Readout
) -> TraceCertificate:
    """Compare a trace with asking the variant, `asked` [questions, K+1, letters], and with the checkpoint.

    `masks` says which letters each question offers, [questions, 1, letters]. Raises CertificateError if logits are
    not finite.
    """
    given = (ours.letters, asked, theirs.letters, *(x.tokens for x in (ours, theirs) if x.tokens is not None))
    if not all(np.isfinite(one).all() for one in given):
        raise CertificateError(
            f"The trace of {variant.name}, its single pass or the checkpoint gave logits that are not finite."
        )
    tie = max(near_tie(variant.precision), _SAME_SUMS)
    letters = _changes(_offered(ours.letters, masks), _offered(theirs.letters, masks), tie)
    apart = _changes(_offered(ours.letters, masks), _offered(asked, masks), tie)
    both = ours.tokens is not None and theirs.tokens is not None
    tokens = _changes(ours.tokens, theirs.tokens, tie) if both else None  # type: ignore[arg-type]
    return TraceCertificate(
        variant=variant.name,
        questions=len(asked),
        flips=tuple(map(int, letters.changed.sum(axis=0))),
        changed_tokens=None if tokens is None else int(tokens.changed.sum()),
        near_ties=letters.ties + (tokens.ties if tokens else 0),
        max_logit_error=float(np.abs(ours.letters - theirs.letters)[masks.repeat(asked.shape[1], 1)].max()),
        max_difference_from_asking=float(np.abs(ours.letters - asked).max()),
        unlike_asking=int(apart.changed.sum()) - apart.ties,
    )


@dataclass(frozen=True)
class _Changes:
    changed: NDArray[np.bool_]
    """[questions, K+1]."""
    ties: int
    """Changes to what the other holds nearly as likely as its own."""


def _changes(ours: Floats, theirs: Floats, tie: float) -> _Changes:
    chosen = ours.argmax(axis=-1)
    changed = chosen != theirs.argmax(axis=-1)
    regrets = theirs.max(axis=-1) - np.take_along_axis(theirs, chosen[..., None], axis=-1)[..., 0]
    return _Changes(changed, int((changed & (regrets < tie)).sum()))


def _offered(logits: Floats, masks: NDArray[np.bool_]) -> Floats:
    offered: Floats = np.where(masks, logits, -np.inf)
    return offered
