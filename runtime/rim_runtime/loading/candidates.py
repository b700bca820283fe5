"""The engines to try for a load, in fallback order, each with the variant it would run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Precision, Variant
from rim_runtime.engines import registry
from rim_runtime.engines.names import CPU_ENGINES, GPU_ENGINES, EngineName
from rim_runtime.engines.support import SUPPORT, choose_variant, has_suited_variant, needed_capability
from rim_runtime.errors import EngineUnavailableError, UnavailableError

if TYPE_CHECKING:
    from rim_runtime.machine.gpu import Gpu


@dataclass(frozen=True)
class Candidates:
    """The engines to try for one bundle on this machine."""

    gpu: dict[EngineName, Variant]
    """GPU engines that could run here, the best first, and which variant each would run."""
    cpu: dict[EngineName, Variant]
    """CPU engines, the last fallback last; their variants share one precision, so that they can be compared."""
    stepped_over: tuple[str, ...]
    """Why better engines were left out, where the user would expect them."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants of all candidates."""
        return (*self.gpu.values(), *self.cpu.values())


def find_candidates(engine: EngineName, bundle: Bundle, precision: Precision | None) -> Candidates:
    """Return the candidates for the engine asked for; an explicit engine is the only one.

    Raises BundleNotFoundError (the bundle has no such precision) and UnavailableError (the engine cannot run here,
    or the bundle has nothing for it).
    """
    if precision is not None and all(variant.precision is not precision for variant in bundle.manifest.variants):
        bundle.variant(precision)  # raises
    if engine is EngineName.AUTO:
        return _all_candidates(bundle, precision)
    registry.require_engine(engine)
    if engine in GPU_ENGINES:
        return Candidates({engine: _choose_for_gpu(engine, bundle, precision)}, {}, ())
    variant = choose_variant(bundle, engine, precision)
    if variant is None:
        raise nothing_to_run(engine, bundle, precision)
    return Candidates({}, {engine: variant}, ())


def nothing_to_run(engine: EngineName, bundle: Bundle, precision: Precision | None) -> EngineUnavailableError:
    """Return the error of an engine that finds no variant it can run."""
    fit = SUPPORT[engine]
    variants = [v for v in bundle.manifest.variants if precision in (None, v.precision)]
    has = "; ".join(f"{v.name} in {v.compute} arithmetic, dialect {v.dialect}" for v in variants)
    command = fit.export + (f" --precision {precision}" if precision in (*fit.made_for, *fit.runs) else "")
    return EngineUnavailableError(
        f"{engine} cannot run what is in {bundle.path}: it has {has}, expected {fit}. Export a variant: {command}"
    )


def _all_candidates(bundle: Bundle, precision: Precision | None) -> Candidates:
    able, stepped_over = {}, []
    for name in GPU_ENGINES:
        if not _is_expected(name, bundle, precision):
            continue
        try:
            registry.require_engine(name)
            able[name] = _choose_for_gpu(name, bundle, precision)
        except UnavailableError as error:
            stepped_over.append(f"auto stepped over {name}: {error}")
    cpu = _cpu_candidates(bundle, precision)
    if not able and not cpu:
        raise _none_left(bundle, precision, stepped_over)
    return Candidates(able, cpu, tuple(stepped_over))


def _is_expected(name: EngineName, bundle: Bundle, precision: Precision | None) -> bool:
    """Whether a user would expect a GPU engine to answer.

    The bundle has a variant made for it, or its library is installed and there is a variant it can run or a GPU.
    """
    if has_suited_variant(bundle, name):
        return True
    return registry.is_installed(name) and (
        choose_variant(bundle, name, precision) is not None or _gpu() is not None
    )


def _choose_for_gpu(name: EngineName, bundle: Bundle, precision: Precision | None) -> Variant:
    """Return the variant that a GPU engine runs on this GPU. Raises EngineUnavailableError if there is none."""
    here = _gpu()
    variant = choose_variant(bundle, name, precision, here.capability if here else None)
    if variant is not None:
        return variant
    for_others = choose_variant(bundle, name, precision)
    if here is None or for_others is None:
        raise nothing_to_run(name, bundle, precision)
    needed = ".".join(map(str, needed_capability(for_others)))
    raise EngineUnavailableError(
        f"{here.name} cannot compute {for_others.name}: its compute capability is "
        f"{'.'.join(map(str, here.capability))}, expected {needed} or later. "
        f"Export another variant: {SUPPORT[name].export} --precision fp16"
    )


def _gpu() -> Gpu | None:
    from rim_runtime.machine import gpu  # imported late, so that machines without GPU engines start faster

    return gpu.look().first


def _cpu_candidates(bundle: Bundle, precision: Precision | None) -> dict[EngineName, Variant]:
    """Return the installed CPU engines; if there are none, the last one, whose error says what to install."""
    names = [name for name in CPU_ENGINES if registry.is_installed(name)] or [CPU_ENGINES[-1]]
    found = {name: choose_variant(bundle, name, precision) for name in names}
    last = next((found[name] for name in reversed(names) if found[name]), None)
    if last is None:
        return {}
    same = {name: choose_variant(bundle, name, last.precision) for name in names}
    return {name: variant for name, variant in same.items() if variant is not None}


def _none_left(bundle: Bundle, precision: Precision | None, stepped_over: list[str]) -> EngineUnavailableError:
    error = nothing_to_run(CPU_ENGINES[-1], bundle, precision)
    for text in stepped_over:
        error.add_note(text)
    return error
