"""Build a TensorRT plan from a graph: typed networks alone, so the graph decides every type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rim_runtime.errors import EngineUnavailableError
from rim_runtime.manifest import Limits, Profile
from rim_runtime.tensor_rt import Library, TensorRt

SPANS = ((128, 32), (512, 8))
"""Longest question, and most questions at once, of the shorter profiles; the last goes to the bundle's limit."""
LAST_BATCH = 2


def default_profiles(limits: Limits) -> tuple[Profile, ...]:
    """Return the profiles that plans are built with: few, each tuned for its longest question, asked alone."""
    longest = limits.question_tokens
    spans = [(length, batch) for length, batch in SPANS if length < longest]
    ends = [*spans, (longest, next((batch for length, batch in SPANS if longest <= length), LAST_BATCH))]
    starts = [1, *(length + 1 for length, _ in spans)]
    return tuple(Profile(start, end, batch) for start, (end, batch) in zip(starts, ends, strict=True))


def build_plan(tensorrt: TensorRt, graph: Path, targets: Sequence[str], profiles: Sequence[Profile]) -> bytes:
    """Return a plan of a graph. TensorRT-RTX builds it for the GPUs that `targets` names, classic for this one.

    Raises EngineUnavailableError with what the library said.
    """
    module = tensorrt.module
    said = error_collector(module)
    builder = module.Builder(said)
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = module.OnnxParser(network, said)
    if not parser.parse_from_file(str(graph)):
        found = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
        raise _refused(tensorrt, graph, found or said.text)
    config = builder.create_builder_config()
    for profile in profiles:
        config.add_optimization_profile(_profile(builder, network, profile))
    if tensorrt.library is Library.RTX:
        config.num_compute_capabilities = len(targets)
        for number, target in enumerate(targets):
            config.set_compute_capability(
                module.ComputeCapability.__members__[target.replace("_", "").upper()], number
            )
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _refused(tensorrt, graph, said.text)
    return bytes(memoryview(plan))


def error_collector(module: Any) -> Any:
    """Return a logger that prints nothing and keeps the last error in `text`."""

    class Collector(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.text = ""

        def log(self, severity: Any, text: str) -> None:
            if severity in (module.ILogger.ERROR, module.ILogger.INTERNAL_ERROR):
                self.text = text.strip().split("\n", 1)[0][:300]

    return Collector()


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
