"""The golden questions show whether this engine, on this machine, answers like the checkpoint did.

Asked the first time a bundle meets an engine, and remembered. Letters decide; logits may differ a little.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import numpy as np

from rim_runtime.answer import read_letters
from rim_runtime.backends.protocol import Backend, Floats
from rim_runtime.bundle import Bundle, GoldenQuestion
from rim_runtime.errors import BundleCorruptError, InputError, SelfTestError
from rim_runtime.options import offered_options
from rim_runtime.prompt import PromptEncoder
from rim_runtime.records import Records

BUDGET_S = 5.0
"""No question is started that would likely end after this; at least one is always asked."""


@functools.cache
def release() -> str:
    """Return the version of rim-edge, or `unknown` in a frozen application without package metadata."""
    from importlib import metadata  # slow to import

    try:
        return metadata.version("rim-edge")
    except metadata.PackageNotFoundError:
        return "unknown"


def self_test(
    bundle: Bundle,
    encoder: PromptEncoder,
    backend: Backend,
    records: Records,
    progress: Callable[[str], None] | None = None,
) -> str | None:
    """Ask the golden questions unless this bundle passed them here before; return a note, if there is one.

    Raises SelfTestError that names how many differed and what to fall back to.
    """
    facts = (bundle.manifest.sha256, backend.fingerprint, f"rim-edge {release()}")
    if records.has("selftests", *facts):
        return None
    golden = bundle.golden_questions()
    results: list[bool] = []
    start = time.perf_counter()
    for question in golden:
        elapsed = time.perf_counter() - start
        if results and elapsed + elapsed / len(results) > BUDGET_S:
            break
        if progress:
            progress(f"self-test {len(results) + 1} of {len(golden)}, once for this bundle on this machine")
        results.append(_agrees(bundle, encoder, backend, question))
    if not all(results):
        raise SelfTestError(_message(bundle, backend, results))
    records.add("selftests", *facts)
    if len(results) < len(golden):
        return f"The self-test had time for {len(results)} of {len(golden)} golden questions; all agreed."
    return None


def _agrees(bundle: Bundle, encoder: PromptEncoder, backend: Backend, golden: GoldenQuestion) -> bool:
    try:
        ids = encoder.encode(golden.question)
        encoder.contract.check_blocks(golden.blocks)
    except InputError as error:
        raise BundleCorruptError(
            f"{bundle.path}: a golden question cannot be asked ({error}) Export the bundle again."
        ) from None
    (logits,) = backend.run(np.array([ids]), np.array([len(ids)]), np.array([golden.blocks]))
    return bool(np.isfinite(logits).all()) and _letter(bundle, logits, golden.question) == golden.letter


def _letter(bundle: Bundle, logits: Floats, question: str) -> str:
    letters = tuple(bundle.manifest.letters)
    offered = [letter for letter in offered_options(question) if letter in letters]
    return read_letters(logits, letters, offered)[0]


def _message(bundle: Bundle, backend: Backend, results: list[bool]) -> str:
    others = [v.precision for v in bundle.manifest.variants if v.precision != backend.precision]
    fallback = f"Use this bundle's {others[0]} variant" if others else "Take a bundle of another precision"
    return (
        f"{results.count(False)} of {len(results)} golden questions were answered differently here by "
        f"{backend.name} at {backend.precision} than by the checkpoint, expected none. {fallback} "
        f"(--precision {others[0] if others else 'fp32'}), or export it again on this machine."
    )
