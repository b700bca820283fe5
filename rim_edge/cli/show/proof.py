"""What is known of a bundle's answers: its certificate, read with care, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rim_edge.cli.show.numbers import count, interval, tenths

if TYPE_CHECKING:
    from rim_edge.evaluation.scores import Score

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Proof:
    """What a certificate says of one variant."""

    variant: str
    """The variant's name."""
    precision: str
    """Its precision."""
    blocks: int | None
    """Memory blocks that the questions were asked with."""
    n: int
    """Questions that it was compared with the checkpoint on."""
    flips: int
    """Questions on which their letters differ."""
    flips_interval: tuple[float, float] | None
    """95 % interval of the share of flips."""
    labelled: int
    """Questions whose right answer is known."""
    accuracy: float | None
    """Share of right answers among them."""
    reference_accuracy: float | None
    """The checkpoint's share."""

    @property
    def score(self) -> Score | None:
        """Its right answers among the labelled questions; None without any."""
        from rim_edge.evaluation.scores import Score

        if self.accuracy is None or not self.labelled:
            return None
        return Score(round(self.accuracy * self.labelled), self.labelled)


def read_proofs(certificate: Mapping[str, Any]) -> tuple[Proof, ...]:
    """Return what a certificate says of each variant; entries in a form that is not ours are left out."""
    listed = certificate.get("variants")
    entries = listed if isinstance(listed, list) else []
    return tuple(proof for entry in entries if (proof := _read(entry, certificate.get("blocks"))) is not None)


def _read(entry: Any, blocks: Any) -> Proof | None:
    try:
        flips = entry.get("flips_interval")
        return Proof(
            variant=str(entry["variant"]),
            precision=str(entry["precision"]),
            blocks=None if blocks is None else int(blocks),
            n=int(entry["n"]),
            flips=int(entry["flips"]),
            flips_interval=None if flips is None else (float(flips[0]), float(flips[1])),
            labelled=int(entry.get("labelled") or 0),
            accuracy=_share(entry.get("accuracy")),
            reference_accuracy=_share(entry.get("reference_accuracy")),
        )
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None


def _share(value: Any) -> float | None:
    share = None if value is None else float(value)
    if share is not None and not 0 <= share <= 1:
        raise ValueError("a share is outside 0 to 1")
    return share


def known_accuracy(proofs: tuple[Proof, ...], precision: str, blocks: int) -> str | None:
    """Return how right the variant that answered was when it was certified; None where that is not known.

    It is not known where no variant, or two that differ, were certified in this precision, with other blocks than
    the question was asked with, or on questions without right answers.
    """
    said = {
        f"right on {tenths(proof.accuracy)} of the {count(proof.labelled, 'question')} it was certified on"
        for proof in proofs
        if proof.precision == precision
        and proof.blocks == blocks
        and proof.labelled
        and proof.accuracy is not None
    }
    return said.pop() if len(said) == 1 else None


def agreement(proof: Proof) -> str:
    """Return how often a variant answers like its checkpoint, with the interval of its flips."""
    text = f"{proof.variant} like the checkpoint on {count(proof.n - proof.flips)} of {count(proof.n, 'question')}"
    if proof.flips_interval is None:
        return text
    return f"{text} (95 % interval: {interval(proof.flips_interval)} of the letters change)"


def accuracy(proof: Proof) -> str:
    """Return how often a variant and its checkpoint are right, with the variant's interval."""
    score = proof.score
    if score is None:
        return f"{proof.variant} {UNKNOWN}: no right answers came with the questions"
    share, ends = tenths(score.accuracy), interval(score.interval)
    told = f"{proof.variant} {share} (95 % interval: {ends}) of {count(score.n, 'question')}"
    if proof.reference_accuracy is None:
        return told
    return f"{told}; the checkpoint {tenths(proof.reference_accuracy)}"


def questions(certificate: Mapping[str, Any]) -> str:
    """Return whose questions a bundle was certified on."""
    name, sha256 = certificate.get("questions"), certificate.get("questions_sha256")
    return f"{name or UNKNOWN} (SHA-256 {f'{sha256[:12]}…' if isinstance(sha256, str) and sha256 else UNKNOWN})"
