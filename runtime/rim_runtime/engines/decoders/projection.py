"""The projection head of a bundle with latent steps, in ONNX Runtime on the CPU (docs/latent.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rim_runtime.bundle.external_data import check_locations
from rim_runtime.engines.backend import EngineOptions, Floats
from rim_runtime.engines.decoders.caches import EMBEDS, STATES
from rim_runtime.engines.graph import first_line
from rim_runtime.engines.ort_cpu import open_whole, types_of
from rim_runtime.errors import BundleCorruptError, EngineClosedError, EngineFailedError


class ProjectionHead:
    """A session on a head; its weights are in its own file, in fp32 whatever the decoder's precision is."""

    def __init__(self, library: Any, model: bytes, path: Path, use: EngineOptions) -> None:
        """Open a head that was read from `path`; `library` is the onnxruntime module.

        Raises BundleCorruptError (it is no head of ours), EngineUnavailableError and CancelledError.
        """
        check_locations(model, path, "")
        self._session: Any = open_whole(library, model, path, use)
        found = types_of(self._session.get_inputs()), types_of(self._session.get_outputs())
        if found != ({STATES: "float32"}, {EMBEDS: "float32"}):
            raise BundleCorruptError(
                f"{path} has the inputs {found[0]} and outputs {found[1]}, expected those of a projection head "
                "(docs/bundle-format.md). Export the bundle again."
            )

    def run(self, states: Floats) -> Floats:
        """Return the vectors that latent steps read, of states: both float32 [rows, width]."""
        session = self._session
        if session is None:
            raise EngineClosedError
        try:
            (vectors,) = session.run([EMBEDS], {STATES: states[:, None]})
        except Exception as error:  # its errors have no other common base
            raise EngineFailedError(
                f"The projection head failed on {len(states)} states ({first_line(error)}). Export the bundle "
                "again."
            ) from error
        found: Floats = vectors[:, 0]
        return found

    def close(self) -> None:
        """Release the session."""
        self._session = None
