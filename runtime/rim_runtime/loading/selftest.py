"""The self-test: golden questions show whether this engine, on this machine, answers like the checkpoint.

They are asked at a bundle's first load on an engine; a pass is remembered. Only letters count; logits may differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rim_runtime.answer import read_letters
from rim_runtime.bundle.folder import Bundle, GoldenQuestion
from rim_runtime.bundle.integrity import GraphFiles
from rim_runtime.bundle.manifest import Variant
from rim_runtime.engines.backend import Backend, EngineOptions, Floats, run_rows
from rim_runtime.engines.cancellation import Cancellation, check
from rim_runtime.engines.mapped_backend import MappedBackend
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.registry import open_backend
from rim_runtime.errors import BundleCorruptError, InputError, SelfTestError
from rim_runtime.loading.candidates import Candidates
from rim_runtime.machine.log import tell
from rim_runtime.machine.records import Records
from rim_runtime.progress import OnProgress, Progress, Stage
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.prompt.options import offered_letters
from rim_runtime.version import __version__

BUDGET_S = 5.0
"""No question is started that would probably end later than this; at least one is always asked."""


@dataclass(frozen=True)
class LoadContext:
    """What is needed to open any of the candidates."""

    bundle: Bundle
    """The bundle."""
    candidates: Candidates
    """The engines to try, and which of the bundle's graphs each would run."""
    encoder: PromptEncoder
    """Its encoder."""
    use: EngineOptions
    """What the engine is for."""
    records: Records
    """What is remembered of earlier loads."""
    progress: OnProgress | None
    """Called when something takes long."""
    files: Callable[[Variant], GraphFiles]
    """Checks a variant's files, the first time, and returns what to open. Raises BundleCorruptError."""

    def variant(self, name: EngineName) -> Variant:
        """Return the variant that an engine would run."""
        return (self.candidates.gpu | self.candidates.cpu)[name]

    def open(self, name: EngineName) -> Backend:
        """Open one of the engines, untested, on files that were checked."""
        check(self.use.cancel)
        variant = self.variant(name)
        files = self.files(variant)
        check(self.use.cancel)

        def opening() -> Backend:
            return open_backend(name, self.bundle, variant, self.use, self.progress, files)

        if files.weights is None:
            return MappedBackend(files, self.bundle.manifest.files[variant.data].sha256, opening)
        backend = opening()
        try:
            files.require_unchanged()
        except BundleCorruptError:
            backend.close()
            raise
        return backend


@dataclass(frozen=True)
class OpenedEngine:
    """An engine that passed the golden questions."""

    backend: Backend
    """The engine itself."""
    notes: tuple[str, ...]
    """What the user should know about how it was found."""


def open_tested(name: EngineName, context: LoadContext) -> OpenedEngine:
    """Open one engine and ask the golden questions, unless it passed them before. Raises what both raise."""
    backend = context.open(name)
    try:
        note = self_test(
            context.bundle, context.encoder, backend, context.records, context.progress, context.use.cancel
        )
    except BaseException:
        backend.close()
        raise
    said: tuple[str, ...] = getattr(backend, "notes", ())  # some GPU engines have notes
    return OpenedEngine(backend, (*said, *([note] if note else [])))


@dataclass(frozen=True)
class GoldenRun:
    """An engine's result on the golden questions that there was time for."""

    seconds: tuple[float, ...]
    """Time of each question, asked alone; the questions come in the bundle's order."""
    of: int
    """How many golden questions the bundle has."""

    @property
    def note(self) -> str | None:
        """What the user should know, if there was no time for all."""
        asked = len(self.seconds)
        if asked == self.of:
            return None
        return f"The self-test had time for {asked} of {self.of} golden questions; all agreed."


def self_test(
    bundle: Bundle,
    encoder: PromptEncoder,
    backend: Backend,
    records: Records,
    progress: OnProgress | None = None,
    cancel: Cancellation | None = None,
) -> str | None:
    """Ask the golden questions unless this bundle passed them here before; return a note, if there is one.

    Raises SelfTestError, which says how many differed and what to use instead.
    """
    facts = _facts(bundle, backend)
    if records.has("selftests", *facts):
        return None
    run = ask_golden(bundle, encoder, backend, BUDGET_S, progress, cancel)
    records.add("selftests", *facts)
    return run.note


def timed_self_test(
    bundle: Bundle,
    encoder: PromptEncoder,
    backend: Backend,
    records: Records,
    budget_s: float,
    progress: OnProgress | None = None,
    cancel: Cancellation | None = None,
) -> GoldenRun:
    """Ask the golden questions and time them, even if they passed before; one untimed question warms up.

    Raises SelfTestError.
    """
    _ask(bundle, encoder, backend, bundle.golden_questions()[0])
    run = ask_golden(bundle, encoder, backend, budget_s, progress, cancel)
    records.add("selftests", *_facts(bundle, backend))
    return run


def ask_golden(
    bundle: Bundle,
    encoder: PromptEncoder,
    backend: Backend,
    budget_s: float,
    progress: OnProgress | None,
    cancel: Cancellation | None = None,
) -> GoldenRun:
    """Ask golden questions until the time is up. Raises SelfTestError where a letter differs, CancelledError."""
    golden = bundle.golden_questions()
    agreed: list[bool] = []
    seconds: list[float] = []
    start = time.perf_counter()
    for question in golden:
        check(cancel)
        elapsed = time.perf_counter() - start
        if agreed and elapsed + elapsed / len(agreed) > budget_s:
            break
        if progress:
            text = f"self-test {len(agreed) + 1} of {len(golden)}, once for this bundle on this machine"
            progress(Progress(Stage.SELF_TEST, len(agreed), len(golden), text))
        logits, taken = _ask(bundle, encoder, backend, question)
        seconds.append(taken)
        agreed.append(_agrees(bundle, logits, question))
    if not all(agreed):
        raise SelfTestError(_message(bundle, backend, agreed))
    tell("%s passed the self-test: %d of %d golden questions", backend.name, len(agreed), len(golden))
    return GoldenRun(tuple(seconds), len(golden))


def _facts(bundle: Bundle, backend: Backend) -> tuple[str, ...]:
    return bundle.manifest.sha256, backend.fingerprint, f"rim-edge {__version__}"


def _ask(bundle: Bundle, encoder: PromptEncoder, backend: Backend, golden: GoldenQuestion) -> tuple[Floats, float]:
    """Return a question's logits, float32 [letters], and the seconds the engine took."""
    try:
        ids = encoder.encode(golden.question)
        encoder.contract.check_blocks(golden.blocks)
    except InputError as error:
        raise BundleCorruptError(
            f"{bundle.path}: a golden question cannot be asked ({error}) Export the bundle again."
        ) from None
    start = time.perf_counter()
    (logits,) = run_rows(backend, [ids], golden.blocks)
    return logits, time.perf_counter() - start


def _agrees(bundle: Bundle, logits: Floats, golden: GoldenQuestion) -> bool:
    return bool(np.isfinite(logits).all()) and _letter(bundle, logits, golden.question) == golden.letter


def _letter(bundle: Bundle, logits: Floats, question: str) -> str:
    letters = tuple(bundle.manifest.letters)
    offered = [letter for letter in offered_letters(question) if letter in letters]
    return read_letters(logits, letters, offered)[0]


def _message(bundle: Bundle, backend: Backend, agreed: list[bool]) -> str:
    others = [v.precision for v in bundle.manifest.variants if v.precision != backend.precision]
    fallback = f"Use this bundle's {others[0]} variant" if others else "Take a bundle of another precision"
    return (
        f"{agreed.count(False)} of {len(agreed)} golden questions were answered differently here by "
        f"{backend.name} at {backend.precision} than by the checkpoint, expected none. {fallback} "
        f"(--precision {others[0] if others else 'fp32'}), or export it again on this machine."
    )
