"""A variant's attempts: what was written, how wide, and how it answered; and when that is good enough."""

from __future__ import annotations

from dataclasses import dataclass

from rim_runtime.bundle.manifest import Variant

from rim_export.certification.evaluation import VariantEvaluation
from rim_export.certification.golden import CLEAR_MARGIN
from rim_export.recipes.recipe import Recipe


@dataclass(frozen=True)
class Tolerance:
    """When a variant is good enough."""

    max_flips: float
    """Largest share of flips, 0..1."""
    keep_going: bool
    """Whether to try again with the costliest layers wider, for flips and for golden questions alike."""
    closer: tuple[str, ...] = ()
    """Options that would come closer to the checkpoint, as they are written on the command line."""

    @property
    def clear_margin(self) -> float:
        """Margin of a golden question in mean logit errors; 0 if every letter may change.

        That is allowed for checkpoints with random weights, which have no clear margins.
        """
        return 0.0 if self.max_flips == 1.0 else CLEAR_MARGIN


@dataclass(frozen=True)
class Attempt:
    """A variant as written once, and its results."""

    recipe: Recipe
    """The recipe it was written by."""
    variant: Variant
    """Its manifest entry; the last attempt's files are in the bundle's folder."""
    result: VariantEvaluation
    """Its results."""
    data_bytes: int
    """Size of its weights."""


Attempts = tuple[Attempt, ...]
"""One recipe's attempts: first with all layers narrow, then with more and more layers wide. The last counts."""
