"""Calibration: run questions through the checkpoint in fp32 and measure its activations.

Calibration and certificate questions are disjoint: a question that a variant was fitted to proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.errors import CalibrationError
from rim_export.measure.ranges import Reach, Rounding
from rim_export.measure.streamed import LoadedLayer, StreamedModel, Watch
from rim_export.questions import LabelledQuestion, fits, read_questions
from rim_export.settings import RangeMethod
from rim_export.weights.model_weights import ModelWeights

LEAST_QUESTIONS = 8
"""Fewer are too few to measure activations on."""


@dataclass(frozen=True)
class CalibrationSet:
    """Questions to calibrate on."""

    name: str
    """Their file's name."""
    texts: tuple[str, ...]
    """The questions, with their options rendered into them."""
    prompts: tuple[tuple[int, ...], ...]
    """Their whole prompts, with all blocks."""
    notes: tuple[str, ...]
    """What was left out, for the user to know."""


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
    """Largest absolute output of its linear modules and of the norms of queries and keys."""

    @property
    def largest(self) -> Mapping[str, float]:
        """Largest absolute input or output, by the weight's name."""
        given = {name: reach.largest for name, reach in self.reaches.items()}
        return {name: max(size, given.get(name, 0.0)) for name, size in self.results.items()}


def read_calibration(path: Path, encoder: PromptEncoder, certified: Sequence[LabelledQuestion]) -> CalibrationSet:
    """Read calibration questions; those of the certificate and those over the limit are left out, with a note.

    Raises QuestionFileError (the file or a row is bad) and CalibrationError (too few are left).
    """
    rows = read_questions(path)
    taken = {_normalized(question.text) for question in certified}
    apart = [row.text for row in rows if _normalized(row.text) not in taken]
    texts = tuple(text for text in apart if fits(text, encoder))
    shared, long = len(rows) - len(apart), len(apart) - len(texts)
    if len(texts) < LEAST_QUESTIONS:
        raise CalibrationError(
            f"{path} has {len(rows)} calibration questions; {shared} are the certificate's, {long} are over the "
            f"limit of {encoder.question_limit} tokens: {len(texts)} are left, expected at least "
            f"{LEAST_QUESTIONS}. Give others, in your model's field, with --calibration."
        )
    left_out = ((shared, "are in the certificate too"), (long, "are over the limit"))
    notes = tuple(f"{count} calibration questions {why} and were left out." for count, why in left_out if count)
    return CalibrationSet(path.name, texts, tuple(encoder.compose(text).ids for text in texts), notes)


def observe(
    weights: ModelWeights, questions: CalibrationSet, report: Callable[[float], None]
) -> Iterator[ObservedLayer]:
    """Run the questions through the checkpoint and yield each layer with its activations.

    One layer is in memory at a time. Raises CalibrationError if an activation is not finite.
    """
    model = StreamedModel(weights)
    hidden = model.embed(questions.prompts)
    for layer in model.layers():
        reaches = {name: Reach() for name in layer.linears}
        results = dict.fromkeys(layer.sources, 0.0)
        after = layer.advance(hidden, _count(reaches), _keep_largest(results))
        _check_finite(layer, after, reaches, questions)
        yield ObservedLayer(layer, hidden, after, reaches, results)
        hidden = after
        report((layer.number + 1) / model.depth)


def _count(reaches: Mapping[str, Reach]) -> Watch:
    return lambda name, inputs: reaches[name].add(inputs)


def _keep_largest(results: dict[str, float]) -> Watch:
    def keep(name: str, outputs: torch.Tensor) -> None:
        results[name] = max(results[name], float(outputs.abs().max()))

    return keep


def activation_ranges(
    layers: Iterator[ObservedLayer], method: RangeMethod, rounding: Rounding
) -> Mapping[str, float]:
    """Return the range of each product's activation, by the weight's name."""
    return {name: reach.range(method, rounding) for seen in layers for name, reach in seen.reaches.items()}


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


def _normalized(text: str) -> str:
    """Return a text's letters and digits in lower case; questions with equal ones count as the same."""
    return re.sub(r"\W+", "", text.lower())
