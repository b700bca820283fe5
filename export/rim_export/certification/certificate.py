"""The certificate: how each variant of a bundle compares with its checkpoint, as values and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rim_export.certification.intervals import Interval, share_interval

LAYERS_NAMED = 5
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class LayerCost:
    """The error that a precision adds to one layer alone."""

    layer: int
    """The layer's number, from 0."""
    error: float
    """Error of the layer's update relative to the update, the tokens' mean, with the checkpoint's own inputs."""


@dataclass(frozen=True)
class VariantCertificate:
    """How one variant compares with the reference."""

    variant: str
    """The variant's name."""
    precision: str
    """Its precision."""
    n: int
    """Questions compared."""
    flips: int
    """Questions on which the letters differ."""
    flips_interval: Interval
    """95 % Clopper-Pearson interval of the share of flips."""
    near_tie_flips: int
    """Flips to a letter that the reference holds nearly as likely as its own (`near_tie`)."""
    agreement: float
    """Share of questions with the same letter."""
    worst_margin: float
    """Smallest lead of the reference's letter over the others in the variant's logits; negative for a flip."""
    mean_kl: float
    """Mean KL divergence of the reference's letter probabilities from the variant's, nats."""
    mean_logit_error: float
    """Mean absolute difference of the offered letters' logits."""
    max_logit_error: float
    """Largest absolute difference of the offered letters' logits."""
    labelled: int
    """Questions whose right letter is known."""
    accuracy: float | None
    """The variant's share of right letters among them."""
    reference_accuracy: float | None
    """The reference's share of right letters among them."""
    accuracy_difference: float | None
    """The variant's accuracy minus the reference's, paired."""
    accuracy_difference_interval: Interval | None
    """Its 95 % interval, Tango's (intervals.py)."""
    costliest_layers: tuple[LayerCost, ...]
    """The layers whose update has the largest error, the worst first; empty for fp32."""
    widened: Mapping[str, str] = field(default_factory=dict)
    """What `--keep-going` kept wider than the precision says, and in which form, by the parts' names."""
    computed_with: str = ""
    """What computed the variant's answers: the library and how."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Every option that made it (provenance.py)."""

    @property
    def clear_flips(self) -> int:
        """Flips that are no near ties: what an export is refused for."""
        return self.flips - self.near_tie_flips

    @property
    def clear_share(self) -> float:
        """Share of questions with such a flip."""
        return self.clear_flips / self.n

    @property
    def clear_interval(self) -> Interval:
        """95 % Clopper-Pearson interval of that share."""
        return share_interval(self.clear_flips, self.n)


@dataclass(frozen=True)
class TextCertificate:
    """How the text of one variant's decoder compares with the checkpoint's (text.py)."""

    variant: str
    """The variant's name."""
    questions: int
    """Questions that it answered."""
    tokens: int
    """Tokens of all answers."""
    changed: int
    """Tokens in whose place the checkpoint writes another."""
    near_ties: int
    """Those of them that the checkpoint holds nearly as likely as its own (`near_tie`)."""
    mean_kl: float
    """Mean KL divergence of the checkpoint's distribution of each token from the decoder's, nats."""
    latent_steps: int = 0
    """Latent steps before each answer, each side's own."""


@dataclass(frozen=True)
class TraceCertificate:
    """How the trace of one variant compares with the checkpoint, and with asking the variant (trace.py)."""

    variant: str
    """The variant's name."""
    questions: int
    """Questions that it traced."""
    flips: tuple[int, ...]
    """Behind 0, 1, …, K blocks: questions on which the letter is not the checkpoint's."""
    changed_tokens: int | None
    """First tokens of texts, behind all numbers of blocks, that are not the checkpoint's; None: none were read."""
    near_ties: int
    """Flips and changed tokens that the checkpoint holds nearly as likely as its own (`near_tie`)."""
    max_logit_error: float
    """Largest absolute difference of an offered letter's logit from the checkpoint's."""
    max_difference_from_asking: float
    """Largest absolute difference of a letter's logit from that of asking with as many blocks."""
    unlike_asking: int
    """Letters that differ from those of asking with as many blocks, near ties aside."""


@dataclass(frozen=True)
class Certificate:
    """The bundle's `certificate.json`."""

    questions: str
    """Name of the questions: of the shipped set or of the file."""
    blocks: int
    """Memory blocks they were asked with."""
    max_flips: float
    """The largest share of flips that was allowed."""
    variants: tuple[VariantCertificate, ...]
    """One entry per variant."""
    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    reference: str = "fp32 arithmetic on the checkpoint's weights"
    """What the variants were compared with."""
    questions_sha256: str = ""
    """SHA-256 of the questions' file; empty in certificates of earlier releases."""
    golden: str = ""
    """Name of the file that golden questions were chosen from."""
    golden_sha256: str = ""
    """SHA-256 of it."""
    golden_candidates: int = 0
    """Candidates for golden questions, none of them among those that were compared."""
    chosen_on: int = 0
    """Questions on which `--keep-going` chose what is kept wide, none of them compared; 0 without it."""
    max_flips_upper: float | None = None
    """The largest upper end of the interval of flips that was allowed; None if it did not count."""
    family: str = ""
    """The checkpoint's architecture."""
    checkpoint_files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the checkpoint's files besides its weights, by name; the weights' stands in the manifest."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Versions of what made and asked the variants."""
    processor: str = ""
    """What it was computed on."""

    text: tuple[TextCertificate, ...] = ()
    """One entry per decoder; not written where there is none."""
    traces: tuple[TraceCertificate, ...] = ()
    """One entry per trace; not written where there is none."""

    def body(self) -> dict[str, Any]:
        """Return it as JSON's values."""
        found = dataclasses.asdict(self)
        return {name: value for name, value in found.items() if value or name not in ("text", "traces")}

    def to_json(self) -> str:
        """Return the text of `certificate.json`."""
        return json.dumps(self.body(), indent=1, ensure_ascii=False) + "\n"
