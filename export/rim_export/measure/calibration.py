"""Calibration: run questions through the checkpoint in fp32 and measure its activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from rim_export.errors import CalibrationError
from rim_export.measure.ranges import Reach
from rim_export.measure.streamed import LoadedLayer, StreamedModel, Watch
from rim_export.question_sets import CalibrationSet
from rim_export.weights.model_weights import ModelWeights
from rim_export.weights.rotation import Rotation


@dataclass(frozen=True)
class ObservedLayer:
    """One layer with its inputs, outputs and activations."""

    layer: LoadedLayer
    """The layer, its weights still loaded."""
    before: Sequence[torch.Tensor]
    """Hidden states of each prompt before the layer."""
    after: Sequence[torch.Tensor]
    """Hidden states of each prompt after it."""
    reaches: Mapping[str, Reach]
    """Inputs of its linear modules, by their weights' names."""
    results: Mapping[str, float]
    """Largest absolute output of its linear modules and of the norms of queries and keys, and of what a graph
    turns before a product."""

    @property
    def largest(self) -> Mapping[str, float]:
        """Largest absolute input or output, by the weight's name."""
        given = {name: reach.largest for name, reach in self.reaches.items()}
        return {name: max(size, given.get(name, 0.0)) for name, size in self.results.items()}


def observe(
    weights: ModelWeights,
    questions: CalibrationSet,
    report: Callable[[float], None],
    rotation: Rotation | None = None,
) -> Iterator[ObservedLayer]:
    """Run the questions through the checkpoint and yield each layer with its activations.

    With a rotation, inputs and outputs of products are counted as the rotated model has them. One layer is in
    memory at a time. Raises CalibrationError if an activation is not finite.
    """
    model = StreamedModel(weights)
    hidden = model.embed(questions.prompts)
    for layer in model.layers():
        reaches = {name: Reach() for name in layer.linears}
        results = dict.fromkeys(layer.sources, 0.0)
        after = layer.advance(hidden, _count(reaches, results, rotation), _keep_largest(results, rotation))
        _check_finite(layer, after, reaches, questions)
        yield ObservedLayer(layer, hidden, after, reaches, results)
        hidden = after
        report((layer.number + 1) / model.depth)


def _count(reaches: Mapping[str, Reach], results: dict[str, float], rotation: Rotation | None) -> Watch:
    if rotation is None:
        return lambda name, inputs: reaches[name].add(inputs)

    def count(name: str, inputs: torch.Tensor) -> None:
        reaches[name].add(rotation.turn_input(name, inputs))
        if rotation.online(name) is not None:  # the graph has it before its turn too
            results[name] = max(results[name], float(inputs.abs().max()))

    return count


def _keep_largest(results: dict[str, float], rotation: Rotation | None) -> Watch:
    def keep(name: str, outputs: torch.Tensor) -> None:
        found = outputs if rotation is None else rotation.turn_output(name, outputs)
        results[name] = max(results[name], float(found.abs().max()))

    return keep


def _check_finite(
    layer: LoadedLayer,
    after: Sequence[torch.Tensor],
    reaches: Mapping[str, Reach],
    questions: CalibrationSet,
) -> None:
    bad = [text for text, states in zip(questions.texts, after, strict=True) if not states.isfinite().all()]
    if bad or not all(reach.is_finite for reach in reaches.values()):
        which = f", first on {bad[0][:60]!r}" if bad else ""
        raise CalibrationError(
            f"Layer {layer.number} gives activations that are no finite numbers on {len(bad)} of "
            f"{len(questions.texts)} questions of {questions.name}{which}. Drop those questions, or copy the "
            "checkpoint again if its weights are damaged."
        )
