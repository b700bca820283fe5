"""Which TensorRT plan may be loaded here, and where it comes from. A plan is code.

A plan of the bundle is taken if the bundle is trusted on this machine and the plan was built from this graph, by
this exact release, for this GPU; else one that was built on this machine and kept in the cache; else a new one is
built. A plan that does not match is never tried. At every load, the bytes that are loaded are hashed first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Plan, Profile, Variant
from rim_runtime.bundle.trust import is_trusted, why_not_kept
from rim_runtime.errors import BundleCorruptError, StorageError
from rim_runtime.machine.folders import plans_folder
from rim_runtime.machine.log import tell
from rim_runtime.tensorrt.plan_cache import PlanBytes, hash_plan, keep_plan, recall_plan


@dataclass(frozen=True)
class PlanRequirements:
    """What a plan must match."""

    library: str
    """`tensorrt-rtx` or `tensorrt`."""
    version: str
    """Its exact release."""
    platform: str
    """The platform, as in `linux-x86_64`."""
    target: str
    """The GPU's architecture, as in `sm_89`."""


@dataclass(frozen=True)
class LoadablePlan:
    """A plan that may be loaded here."""

    content: PlanBytes
    """The plan; its hash was checked."""
    profiles: tuple[Profile, ...]
    """Its optimization profiles."""
    notes: tuple[str, ...]
    """Where it comes from, if the user should know."""


Build = Callable[[Path, Sequence[Profile]], PlanBytes]
"""Builds a plan for this GPU from a graph; raises UnavailableError."""


def obtain_plan(
    bundle: Bundle, variant: Variant, here: PlanRequirements, profiles: Sequence[Profile], build: Build
) -> LoadablePlan:
    """Return a plan of this variant that may be loaded here; build one, for these profiles, if there is none.

    Raises BundleCorruptError (a plan of the bundle cannot be read or was altered) and what `build` raises.
    """
    refused = []
    for plan in bundle.manifest.plans:
        if plan.variant != variant.name:
            continue
        trouble = refusal(bundle, plan, here)
        if trouble is None:
            tell("plan for %s: the bundle's own, %s", here.target, plan.file)
            return LoadablePlan(_read_own(bundle, plan), plan.profiles, ())
        refused.append(f"{plan.file}: {trouble}")
    facts = _facts(bundle, variant, here, profiles)
    kept = recall_plan(facts)
    if kept is not None:
        tell("plan for %s: from %s", here.target, plans_folder())
        return LoadablePlan(kept, tuple(profiles), ())
    start = time.perf_counter()
    content = build(bundle.path / variant.graph, profiles)
    tell("plan for %s: built in %.1f s, %d bytes", here.target, time.perf_counter() - start, len(content))
    why = f", because the bundle's own cannot be used here ({'; '.join(refused)})" if refused else ""
    try:
        keep_plan(facts, content)
        notes = [f"A plan for this GPU was built{why}. It is kept in {plans_folder()}."]
    except StorageError as error:
        notes = [
            f"A plan for this GPU was built{why}; it cannot be kept, so the next load builds it again: {error}"
        ]
    return LoadablePlan(content, tuple(profiles), tuple(notes))


def refusal(bundle: Bundle, plan: Plan, here: PlanRequirements) -> str | None:
    """Return why a plan of a bundle must not be loaded here; None if it may, once its hash is checked."""
    known = {variant.name: variant for variant in bundle.manifest.variants}
    if plan.graph_sha256 != bundle.manifest.graph_sha256(known[plan.variant]):
        return "it was built from another graph"
    if (plan.library, plan.library_version) != (here.library, here.version):
        return f"it was built by {plan.library} {plan.library_version}, here is {here.library} {here.version}"
    if plan.platform != here.platform:
        return f"it was built for {plan.platform}, this is {here.platform}"
    if here.target not in plan.targets:
        return f"it was built for {', '.join(plan.targets)}, this GPU is {here.target}"
    if why := why_not_kept():
        return why.rstrip(".")
    if not is_trusted(bundle.manifest):
        return f"this machine was not told to trust it; if you do: rim-edge bundle trust {bundle.path}"
    return None


def _read_own(bundle: Bundle, plan: Plan) -> bytes:
    path = bundle.path / plan.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleCorruptError(f"{path} cannot be read ({error.strerror}). Copy the bundle again.") from None
    found = hash_plan(content)
    if found != plan.sha256:
        raise BundleCorruptError(
            f"{path} was altered: its SHA-256 is {found[:12]}…, its manifest says {plan.sha256[:12]}…. "
            "It was not loaded. Copy or export the bundle again."
        )
    return content


def _facts(
    bundle: Bundle, variant: Variant, here: PlanRequirements, profiles: Sequence[Profile]
) -> dict[str, Any]:
    """Return everything a plan depends on."""
    return {
        "graph_sha256": bundle.manifest.graph_sha256(variant),
        "profiles": [asdict(profile) for profile in profiles],
        **asdict(here),
    }
