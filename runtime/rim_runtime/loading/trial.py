"""Whether an engine answers here: open a bundle on it, ask one golden question, and remember nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rim_runtime.bundle.folder import Bundle
from rim_runtime.engines.backend import Answers, EngineOptions
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.registry import open_backend
from rim_runtime.engines.support import choose_variant
from rim_runtime.errors import RimError
from rim_runtime.loading.load import load_encoder
from rim_runtime.loading.selftest import ask_golden


@dataclass(frozen=True)
class Trial:
    """The result of one engine."""

    variant: str
    """The variant that was tried."""
    seconds: float
    """From the bundle's files to the answer."""
    trouble: str | None
    """Why it did not answer, or answered wrongly; None where it did well."""


def try_engine(name: EngineName, bundle: Bundle) -> Trial | None:
    """Try an engine whose library is here, on a bundle that is whole; None where it has no variant for it.

    Never raises: what libraries of another release raise is not known beforehand.
    """
    variant = choose_variant(bundle, name)
    if variant is None:
        return None
    trouble: str | None = None
    start = time.perf_counter()
    try:
        encoder = load_encoder(bundle)
        backend = open_backend(name, bundle, variant, EngineOptions(None, Answers.ONE))
        try:
            ask_golden(bundle, encoder, backend, 0.0, None)
        finally:
            backend.close()
    except RimError as error:
        trouble = str(error)
    except Exception as error:  # noqa: BLE001 (see above)
        trouble = f"{type(error).__name__}: {error}"
    return Trial(variant.name, time.perf_counter() - start, trouble)
