"""A trace that maps its weights from the bundle's file, kept from changing as an engine's is."""

from __future__ import annotations

from rim_runtime.engines.backend import Ints
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.mapped_backend import MappedWeights
from rim_runtime.engines.traces.readouts import Readouts, TraceEngine


class MappedTrace(MappedWeights[TraceEngine]):
    """A trace of another class, and the file that its weights are in."""

    def run(self, question_ids: Ints, question_length: Ints, cancel: Cancellation | None = None) -> Readouts:
        """Read out behind every block.

        Raises EngineFailedError if the file was written since the trace was opened, and it has no copy.
        """
        self.require_same()
        found = self._engine.run(question_ids, question_length, cancel)
        self.require_same()
        return found
