"""A variant's attempts: what was written, how wide, and how it answered; and when that is good enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rim_runtime.bundle.manifest import Variant

from rim_export.certification.certificate import VariantCertificate
from rim_export.certification.evaluation import VariantEvaluation
from rim_export.certification.golden import CLEAR_MARGIN
from rim_export.certification.steps import Widening
from rim_export.recipes.recipe import Recipe


@dataclass(frozen=True)
class Tolerance:
    """When a variant is good enough."""

    max_flips: float
    """Largest share of flips that are no near ties, 0..1."""
    keep_going: bool
    """Whether to try again with the costliest products wider, for flips and for golden questions alike."""
    closer: tuple[str, ...] = ()
    """Options that would come closer to the checkpoint, as they are written on the command line."""
    max_flips_upper: float | None = None
    """Largest upper end of the interval of that share, 0..1; None: whatever it is."""

    @property
    def clear_margin(self) -> float:
        """Margin of a golden question in units of the noise (golden.py); 0 if every letter may change.

        That is allowed for checkpoints with random weights, which have no clear margins.
        """
        return 0.0 if self.max_flips == 1.0 else CLEAR_MARGIN

    def allows(self, found: VariantCertificate) -> bool:
        """Whether so many flips may be on the certificate's questions."""
        upper = self.max_flips_upper
        return self.allows_to_choose(found) and (upper is None or found.clear_interval[1] <= upper)

    def allows_to_choose(self, found: VariantCertificate) -> bool:
        """Whether so few flips on the pool make an attempt worth certifying; a pool is too small for bounds."""
        return found.clear_share <= self.max_flips


@dataclass(frozen=True)
class Attempt:
    """A variant as written once, and its results."""

    recipe: Recipe
    """The recipe it was written by."""
    variant: Variant
    """Its manifest entry; the last attempt's files are in the bundle's folder."""
    result: VariantEvaluation
    """Its results on the pool: candidates for golden questions, and what widening is chosen on."""
    data_bytes: int
    """Size of its weights."""
    widening: Widening | None = None
    """What was kept wider; None where it was written as its recipe says."""
    widened: Mapping[str, str] = field(default_factory=dict)
    """The same, as the manifest says it."""
    certified: VariantEvaluation | None = None
    """Its results on the certificate's questions; None where it was not asked them."""


Attempts = tuple[Attempt, ...]
"""One recipe's attempts: first with all parts narrow, then with more and more of them wide. The last counts."""
