"""Build a TensorRT plan from a graph, as a strongly typed network: the graph decides every type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rim_runtime.bundle.manifest import Limits, Profile
from rim_runtime.errors import EngineUnavailableError
from rim_runtime.libraries.tensorrt import Library, TensorRt
from rim_runtime.tensorrt.messages import heard_errors, process_logger

SPANS = ((128, 32), (512, 8))
"""(longest question, most questions at once) of the shorter profiles; the last goes to the bundle's limit."""
LAST_BATCH = 2


def default_profiles(limits: Limits) -> tuple[Profile, ...]:
    """Return the profiles that plans are built with, each tuned for its longest question asked alone."""
    longest = limits.question_tokens
    spans = [(length, batch) for length, batch in SPANS if length < longest]
    ends = [*spans, (longest, next((batch for length, batch in SPANS if longest <= length), LAST_BATCH))]
    starts = [1, *(length + 1 for length, _ in spans)]
    return tuple(Profile(start, end, batch) for start, (end, batch) in zip(starts, ends, strict=True))


def build_plan(
    tensorrt: TensorRt,
    graph: Path,
    targets: Sequence[str],
    profiles: Sequence[Profile],
    report: Callable[[float], None] | None = None,
) -> memoryview:
    """Return a plan of a graph, in the library's own memory, because plans have gigabytes.

    TensorRT-RTX builds it for the GPUs in `targets`, classic TensorRT for this one. `report` is called with the
    share done. Raises EngineUnavailableError with the library's message.
    """
    with heard_errors(tensorrt.module) as heard:
        try:
            plan = _build(tensorrt, graph, targets, profiles, report)
        except EngineUnavailableError:
            raise
        except Exception as error:  # TensorRT's binding has errors of many kinds
            raise _refused(tensorrt, graph, heard.first or str(error)) from error
    if plan is None:
        raise _refused(tensorrt, graph, heard.first)
    if report:
        report(1.0)
    return memoryview(plan).cast("B")


def _build(
    tensorrt: TensorRt,
    graph: Path,
    targets: Sequence[str],
    profiles: Sequence[Profile],
    report: Callable[[float], None] | None,
) -> Any:
    """Return the library's plan; None where it logs why. Raises EngineUnavailableError and the library's own."""
    module, logger = tensorrt.module, process_logger(tensorrt.module)
    builder = module.Builder(logger)
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = module.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        found = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
        raise _refused(tensorrt, graph, found)
    config = builder.create_builder_config()
    for profile in profiles:
        config.add_optimization_profile(_profile(builder, network, profile))
    if tensorrt.library is Library.RTX:
        config.num_compute_capabilities = len(targets)
        for number, target in enumerate(targets):
            config.set_compute_capability(
                module.ComputeCapability.__members__[target.replace("_", "").upper()], number
            )
    if report:
        config.progress_monitor = _monitor(module, report)
    return builder.build_serialized_network(network, config)


def _monitor(module: Any, report: Callable[[float], None]) -> Any:
    """Return a progress monitor: the library reports nested phases, each with its number of steps."""

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self.phases: dict[str, tuple[str | None, int, int]] = {}  # parent, steps, steps done
            self.best = 0.0

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self.phases[name] = (parent, max(steps, 1), 0)

        def step_complete(self, name: str, step: int) -> bool:
            parent, steps, _ = self.phases[name]
            self.phases[name] = (parent, steps, step + 1)
            self.best = max(self.best, self.share(name))
            report(min(self.best, 1.0))
            return True

        def phase_finish(self, name: str) -> None:
            self.phases.pop(name, None)

        def share(self, name: str) -> float:
            """Return the share of the whole that is done; a phase is part of one step of its parent."""
            parent, steps, done = self.phases[name]
            share = done / steps
            while parent in self.phases:
                parent, steps, done = self.phases[parent]
                share = (done + share) / steps
            return share

    return Monitor()


def _profile(builder: Any, network: Any, profile: Profile) -> Any:
    made = builder.create_optimization_profile()
    least, most, batch = profile.least_length, profile.most_length, profile.most_batch
    for number in range(network.num_inputs):
        tensor = network.get_input(number)
        wide = len(tensor.shape) == 2
        shapes = [(1, least), (1, most), (batch, most)] if wide else [(1,), (1,), (batch,)]
        made.set_shape(tensor.name, *shapes)
    return made


def _refused(tensorrt: TensorRt, graph: Path, why: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"{tensorrt.library} {tensorrt.version} cannot build {graph} ({why or 'it does not say why'}). "
        "Export the bundle again, or use another engine."
    )
