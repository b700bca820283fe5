"""`auto`: try trt, ort-cuda and the CPU engines in this order; take the first that opens and answers correctly.

Of several CPU engines, take the one that answers this bundle's golden questions fastest on this machine. That is
measured at the first load and remembered while libraries, processor, threads and bundle stay the same. For one
answer alone, take the last, which starts fastest. An engine that cannot run or fails the golden questions is
stepped over, and every load says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from rim_runtime.engines.backend import Answers
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.registry import require_engine
from rim_runtime.errors import EngineFailedError, RimError, SelfTestError, UnavailableError
from rim_runtime.libraries.onnxruntime import onnxruntime_version
from rim_runtime.libraries.openvino import openvino_version
from rim_runtime.loading import selftest
from rim_runtime.loading.selftest import GoldenRun, LoadContext, OpenedEngine, open_tested
from rim_runtime.machine.cpu import this_cpu
from rim_runtime.version import __version__

LEAST_GAIN, LEAST_GAIN_S = 0.05, 0.010
"""Share and seconds by which an engine must beat the last candidate. A smaller gain is noise or goes unnoticed;
the last candidate starts faster, and the certificate was measured on it."""

STEPPED_OVER = (UnavailableError, SelfTestError, EngineFailedError)
"""Errors after which `auto` tries the next engine; any other is the bundle's or the caller's fault."""


@dataclass(frozen=True)
class RememberedChoice:
    """A choice as it is remembered."""

    engine: EngineName
    """The engine that was chosen."""
    stepped_over: tuple[str, ...]
    """Why other engines were not."""


@dataclass(frozen=True)
class _Trial:
    engine: EngineName
    run: GoldenRun | None = None
    """Its result; None where it failed."""
    trouble: RimError | None = None
    """Why it failed."""
    lasting: bool = True
    """Whether it would fail again: a broken installation may be repaired without a new version."""


def open_best(context: LoadContext) -> OpenedEngine:
    """Open the best of several engines. Raises the last candidate's error if none works."""
    told = list(context.candidates.stepped_over)
    last: RimError | None = None
    for name in context.candidates.gpu:
        try:
            opened = _open_gpu(name, context)
        except STEPPED_OVER as error:
            told.append(f"auto stepped over {name}: {error}")
            last = error
        else:
            return replace(opened, notes=(*told, *opened.notes))
    if not context.candidates.cpu:
        assert last is not None
        raise last
    for variant in context.candidates.cpu.values():
        context.files(variant)
    opened = _open_cpu(context)
    return replace(opened, notes=(*told, *opened.notes))


def _open_gpu(name: EngineName, context: LoadContext) -> OpenedEngine:
    """Open a GPU engine, unless it failed the golden questions here before; loading it again would be slow."""
    variant = context.variant(name)
    facts = (context.bundle.manifest.sha256, variant.name, require_engine(name), f"rim-edge {__version__}")
    failed = context.records.recall("failures", *facts)
    if isinstance(failed, str):
        raise SelfTestError(failed)
    context.files(variant)
    try:
        return open_tested(name, context)
    except SelfTestError as error:
        context.records.keep("failures", str(error), *facts)
        raise


def _open_cpu(context: LoadContext) -> OpenedEngine:
    if len(context.candidates.cpu) == 1:
        return open_tested(next(iter(context.candidates.cpu)), context)
    if context.use.answers is Answers.ONE:
        with suppress(*STEPPED_OVER):  # the measurement below reports the error
            # the last starts fastest, which decides for one answer
            return open_tested(list(context.candidates.cpu)[-1], context)
    facts = _facts(context)
    known = _recall(facts, context)
    if known:
        try:
            opened = open_tested(known.engine, context)
        except STEPPED_OVER:  # something changed that the facts do not show
            pass
        else:
            return replace(opened, notes=(*known.stepped_over, *opened.notes))
    return _measure(facts, context)


def _measure(facts: tuple[str, ...], context: LoadContext) -> OpenedEngine:
    share = selftest.BUDGET_S / len(context.candidates.cpu)
    trials = [_try(name, context, share) for name in context.candidates.cpu]
    passed = {trial.engine: trial.run for trial in trials if trial.run}
    troubles = [trial for trial in trials if trial.trouble]
    if not passed:
        raise _last_trouble(trials)
    best, why = _fastest(passed)
    stepped_over = tuple(f"auto stepped over {trial.engine}: {trial.trouble}" for trial in troubles)
    if all(trial.lasting for trial in troubles):
        context.records.keep("choices", {"engine": best, "stepped_over": stepped_over}, *facts)
    cut_short = passed[best].note
    return OpenedEngine(context.open(best), (*stepped_over, *why, *([cut_short] if cut_short else [])))


def _try(name: EngineName, context: LoadContext, budget_s: float) -> _Trial:
    """Time one engine alone: several at once would share cores and memory."""
    try:
        require_engine(name)
    except UnavailableError as error:
        return _Trial(name, trouble=error, lasting=False)
    try:
        backend = context.open(name)
        try:
            run = selftest.timed_self_test(
                context.bundle,
                context.encoder,
                backend,
                context.records,
                budget_s,
                context.progress,
                context.use.cancel,
            )
        finally:
            backend.close()
    except STEPPED_OVER as error:
        return _Trial(name, trouble=error, lasting=not isinstance(error, EngineFailedError))
    return _Trial(name, run=run)


def _fastest(passed: Mapping[EngineName, GoldenRun]) -> tuple[EngineName, tuple[str, ...]]:
    """Return the engine with the lowest median time on the questions that all answered, or the last; and why."""
    common = min(len(run.seconds) for run in passed.values())
    medians = {engine: float(np.median(run.seconds[:common])) for engine, run in passed.items()}
    fastest, last = min(medians, key=medians.__getitem__), list(passed)[-1]
    gain = medians[last] - medians[fastest]
    best = fastest if gain >= max(LEAST_GAIN * medians[last], LEAST_GAIN_S) else last
    if len(passed) == 1:
        return best, ()
    times = ", ".join(f"{engine} {1000 * seconds:.1f} ms" for engine, seconds in medians.items())
    why = "" if best is fastest else f"; {fastest} gains too little for its slower start"
    return best, (f"auto took {best}: on {common} golden questions the median answer was {times}{why}.",)


def _last_trouble(trials: Sequence[_Trial]) -> RimError:
    last = trials[-1].trouble
    assert last is not None
    for trial in trials[:-1]:
        last.add_note(f"{trial.engine} was tried before it: {trial.trouble}")
    return last


def _recall(facts: tuple[str, ...], context: LoadContext) -> RememberedChoice | None:
    """Return the choice remembered for these facts; None if there is none, or an invalid one."""
    match context.records.recall("choices", *facts):
        case {"engine": str(name), "stepped_over": [*told]} if name in context.candidates.cpu:
            return RememberedChoice(EngineName(name), tuple(map(str, told)))
    return None


def _facts(context: LoadContext) -> tuple[str, ...]:
    """Return everything the choice depends on, without importing any engine's library."""
    cpu = this_cpu()
    return (
        context.bundle.manifest.sha256,
        ", ".join(f"{engine} {variant.name}" for engine, variant in context.candidates.cpu.items()),
        f"onnxruntime {onnxruntime_version()}",
        f"openvino {openvino_version()}",
        f"{cpu.fingerprint}, {context.use.threads or cpu.cores} threads",
        f"rim-edge {__version__}",
    )
