"""Open a bundle's trace, when one is asked for the first time."""

from __future__ import annotations

from collections.abc import Callable

from rim_runtime.bundle.manifest import Manifest
from rim_runtime.bundle.roles import Role
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.traces.mapped import MappedTrace
from rim_runtime.engines.traces.ort_cpu import OrtCpuTrace
from rim_runtime.engines.traces.readouts import LettersByTrace, TraceEngine
from rim_runtime.loading.later import LoadedPlace, RoleKind
from rim_runtime.prompt.encoder import PromptEncoder

OpenTrace = Callable[[Cancellation | None], TraceEngine]
"""Opens the trace that belongs to a loaded engine; may be cancelled."""


def trace_opening(place: LoadedPlace) -> OpenTrace:
    """Return what opens the trace of a loaded bundle; it raises what `LoadedPlace.open` does."""
    return lambda cancel: place.open(_TRACE, cancel)


def _letters(trace: TraceEngine, encoder: PromptEncoder, manifest: Manifest) -> LettersByTrace:
    return LettersByTrace(trace)


_TRACE: RoleKind[TraceEngine] = RoleKind(
    Role.TRACE, "reads traces", "reads no traces", OrtCpuTrace, MappedTrace, _letters
)
