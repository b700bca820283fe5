"""The GPUs that TensorRT-RTX 1.7 builds for, and the first of them that supports each number format.

Seen when building with 1.7.1 (docs/tensorrt.md): its enumeration has no sm_90 and no sm_100. A graph with a type
that a target lacks is refused only if the target is named, so targets are always named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rim_runtime.bundle.manifest import Compute, Precision

from rim_export.errors import TargetError


class Target(StrEnum):
    """GPU architectures by compute capability."""

    SM_75 = "sm_75"
    """Turing: RTX 20, T4."""
    SM_80 = "sm_80"
    """Ampere: A100."""
    SM_86 = "sm_86"
    """Ampere: RTX 30, A10."""
    SM_89 = "sm_89"
    """Ada: RTX 40, L4, L40S."""
    SM_120 = "sm_120"
    """Blackwell: RTX 50, RTX PRO 6000."""
    SM_121 = "sm_121"
    """Blackwell: GB10."""

    @property
    def number(self) -> int:
        """Ten times the compute capability."""
        return int(self.removeprefix("sm_"))


DEFAULT = (Target.SM_86, Target.SM_89, Target.SM_120)
FIRST = {
    Precision.FP16: Target.SM_75,
    Precision.INT8: Target.SM_75,
    Precision.BF16: Target.SM_80,
    Precision.INT4: Target.SM_80,
    Precision.FP8: Target.SM_89,
    Precision.NVFP4: Target.SM_120,
}
"""The first target that supports a precision; all later ones do too."""
FIRST_COMPUTE = {Compute.FP16: Target.SM_75, Compute.BF16: Target.SM_80}


@dataclass(frozen=True)
class TargetChoice:
    """The targets of a plan."""

    targets: tuple[Target, ...]
    """The chosen targets, at least one."""
    dropped: tuple[Target, ...]
    """Default targets left out, because they lack the number format."""


def supporting(precision: Precision, compute: Compute) -> tuple[Target, ...]:
    """Return the targets that support a precision and a compute type."""
    first = max(FIRST[precision].number, FIRST_COMPUTE[compute].number)
    return tuple(target for target in Target if target.number >= first)


def choose_targets(asked: Sequence[str], precision: Precision, compute: Compute) -> TargetChoice:
    """Return the targets asked for, or the default ones that support the precision.

    Raises TargetError if one asked for is unknown to the library or does not support the precision.
    """
    able = supporting(precision, compute)
    if not asked:
        chosen = tuple(target for target in DEFAULT if target in able)
        return TargetChoice(chosen, tuple(target for target in DEFAULT if target not in able))
    if wrong := [target for target in asked if target not in [one.value for one in able]]:
        raise TargetError(
            f"TensorRT-RTX cannot build {precision} in {compute} arithmetic for {', '.join(wrong)}, expected "
            f"{', '.join(able)}. Choose among these with --target, or take another precision."
        )
    return TargetChoice(tuple(target for target in Target if target in asked), ())
