"""Make test vectors: ask a bundle on ONNX Runtime's CPU engine, and say how exactly others must agree.

Tokens, texts and offered letters must be equal. Logits are compared with a tolerance that is measured: the same
graph is computed a second time by ONNX Runtime without its fusions. Sums then run in another order, and where a
graph rounds (int8, fp8, int4) a last bit may turn into a whole step. So do other machines and languages differ.
Golden questions' letters must be equal without any tolerance: that is what they were chosen for.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rim_runtime.answer import Answer, read_letters
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import read_graph
from rim_runtime.bundle.manifest import Precision, Variant
from rim_runtime.engine import Engine
from rim_runtime.engines.backend import Floats
from rim_runtime.engines.external_weights import add_weights
from rim_runtime.engines.graph import INPUTS, Graph
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.ort_cpu import SESSION_ENTRIES
from rim_runtime.engines.support import choose_variant
from rim_runtime.errors import QuestionError, QuestionTooLongError, kind_of
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.loading.load import load_encoder
from rim_runtime.machine.cpu import this_cpu
from rim_runtime.prompt.options import offered_options
from rim_runtime.question import Question

from rim_edge.vectors.cases import Case, answered_cases, refused_cases

SAFETY = 3.0
"""How many times as far as our two ways of computing another runtime may be from ours."""
LEAST: Mapping[Precision, tuple[float, float]] = {
    Precision.FP32: (0.002, 0.0005),
    Precision.BF16: (0.1, 0.02),
    Precision.FP16: (0.02, 0.005),
    Precision.INT8: (0.1, 0.02),
    Precision.FP8: (0.1, 0.02),
    Precision.INT4: (0.5, 0.05),
    Precision.NVFP4: (0.5, 0.05),
}
"""The smallest tolerance of logits and of probabilities: two ways may happen to agree on few questions. int4's
products round activations in one runtime and not in another; on the demo that alone made 0.21 and 0.025."""


@dataclass(frozen=True)
class Tolerance:
    """How far a runtime may be from the vectors."""

    logit: float
    """Of each logit, absolute, after the mean of all letters was taken off, which changes no answer."""
    probability: float
    """Of each offered letter's probability, absolute."""
    measured_logit: float
    """The largest difference of a logit between the two ways here."""
    measured_probability: float
    """The largest difference of a probability between them."""


@dataclass(frozen=True)
class Vectors:
    """All that the file holds."""

    about: Mapping[str, Any]
    """The bundle, the variant, and what computed."""
    tolerance: Tolerance
    """How exactly others must agree."""
    cases: tuple[Mapping[str, Any], ...]
    """Questions with their tokens, logits and answers."""
    refusals: tuple[Mapping[str, Any], ...]
    """What is refused, and how."""


@dataclass(frozen=True)
class _Asked:
    case: Case
    question: Question
    ids: tuple[int, ...]
    answer: Answer
    other: Floats
    """Its logits, computed the other way."""


def make_vectors(
    bundle: Bundle,
    engine: Engine,
    more: Iterable[Case] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> Vectors:
    """Ask a bundle that was loaded on ort-cpu as `engine`; `more` are the caller's own questions.

    Raises QuestionError, which names the one of `more` that cannot be asked, and what `Engine.ask` raises.
    """
    variant = choose_variant(bundle, EngineName.ORT_CPU, engine.precision)
    assert variant is not None, "the engine runs one"
    encoder = load_encoder(bundle)
    compute = _other_way(bundle, variant)
    cases = [*answered_cases(bundle.manifest, bundle.golden_questions(), encoder), *more]
    asked = []
    for place, case in enumerate(cases, 1):
        progress(f"asking {place} of {len(cases)}")
        question = Question(case.question, case.choices)
        try:
            answer = _ask(engine, case)
        except QuestionError as error:
            error.add_note(f"This is {case.name}.")
            raise
        ids = encoder.encode(question.rendered())
        asked.append(_Asked(case, question, ids, answer, compute(ids, answer.blocks)))
    tolerance = _tolerance(variant.precision, asked)
    refusals = tuple(_refusal(engine, case) for case in refused_cases(bundle.manifest, encoder))
    said = tuple(_case(one, encoder.contract.segment(one.question.rendered()), tolerance) for one in asked)
    return Vectors(_about(bundle, variant), tolerance, said, refusals)


def lines(vectors: Vectors) -> Iterator[str]:
    """Yield the file's text, a case in each line; ASCII alone, so that no editor changes a character."""
    head = {"schema_version": 1, **vectors.about, "tolerance": dataclasses.asdict(vectors.tolerance)}
    yield json.dumps(head)[:-1] + ',\n"cases": [\n'
    yield ",\n".join(map(json.dumps, vectors.cases))
    yield '\n],\n"refusals": [\n'
    yield ",\n".join(map(json.dumps, vectors.refusals))
    yield "\n]}\n"


def _ask(engine: Engine, case: Case) -> Answer:
    return engine.ask(case.question, case.choices, blocks=case.blocks)


def _other_way(bundle: Bundle, variant: Variant) -> Callable[[Sequence[int], int], Floats]:
    """Return what computes logits, float32 [letters], without the fusions that ONNX Runtime makes by itself."""
    library = import_onnxruntime()
    options: Any = library.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = library.GraphOptimizationLevel.ORT_ENABLE_BASIC
    for key, value in SESSION_ENTRIES.get(variant.precision, {}).items():
        options.add_session_config_entry(key, value)
    files = read_graph(bundle, variant)  # kept: the session reads weights from these bytes
    model = add_weights(options, files)
    session: Any = library.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    graph = Graph.of(bundle, variant)

    def compute(ids: Sequence[int], blocks: int) -> Floats:
        given = (np.array([ids], np.int64), np.array([len(ids)], np.int64), np.array([blocks], np.int64))
        (logits,) = session.run([graph.output], dict(zip(INPUTS, given, strict=True)))
        letters: Floats = graph.letters(logits, 1)[0]
        return letters

    return compute


def _tolerance(precision: Precision, asked: Sequence[_Asked]) -> Tolerance:
    logit = probability = 0.0
    for one in asked:
        own = np.array(list(one.answer.letter_logits.values()), np.float32)
        apart_by = own - one.other
        logit = max(logit, float(np.abs(apart_by - apart_by.mean()).max()))
        letters, offered = tuple(one.answer.letter_logits), tuple(one.answer.probabilities)
        _, other = read_letters(one.other, letters, offered)
        apart = (abs(share - other[letter]) for letter, share in one.answer.probabilities.items())
        probability = max(probability, *apart)
    least = LEAST[precision]
    return Tolerance(
        _up(max(SAFETY * logit, least[0])), _up(max(SAFETY * probability, least[1])), logit, probability
    )


def _up(value: float) -> float:
    """Round up to two digits."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step - 1e-6) * step:.2g}")


def _case(one: _Asked, segment: str, tolerance: Tolerance) -> dict[str, Any]:
    answer, question = one.answer, one.question
    offered = question.offered()
    among = sorted((answer.letter_logits[letter] for letter in answer.probabilities), reverse=True)
    margin = among[0] - among[1]
    return {
        "name": one.case.name,
        "question": question.text,
        "choices": None if question.choices is None else list(question.choices),
        "blocks": answer.blocks,
        "options_from": _options_from(question, offered),
        "rendered": question.rendered(),
        "segment": segment,
        "question_ids": list(one.ids),
        "question_length": len(one.ids),
        "offered": dict(offered),
        "letter_logits": [_shortest(value) for value in answer.letter_logits.values()],
        "probabilities": {letter: round(share, 8) for letter, share in answer.probabilities.items()},
        "letter": answer.letter,
        "choice": answer.choice,
        "margin": round(margin, 6),
        "near": margin < 2 * tolerance.logit and not one.case.is_golden,
    }


def _options_from(question: Question, offered: Mapping[str, str]) -> str:
    """Return where options come from: the list, lines `A: `, another form in the text, or nowhere."""
    if question.choices is not None:
        return "list" if question.choices else "none"
    if not offered:
        return "none"
    return "lines" if offered_options(question.text) else "other"


def _refusal(engine: Engine, case: Case) -> dict[str, Any]:
    asked = {
        "name": case.name,
        "question": case.question,
        "choices": None if case.choices is None else list(case.choices),
        "blocks": case.blocks,
    }
    try:
        _ask(engine, case)
    except QuestionError as error:
        told = {"tokens": error.tokens, "limit": error.limit} if isinstance(error, QuestionTooLongError) else {}
        return {**asked, "kind": kind_of(error), "message": str(error), **told}
    raise AssertionError(f"{case.name} was answered")


def _shortest(value: float) -> float:
    """Return the shortest decimal number that is the same float32."""
    return float(str(np.float32(value)))


def _about(bundle: Bundle, variant: Variant) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "bundle": manifest.name,
        "manifest_sha256": manifest.sha256,
        "variant": variant.name,
        "precision": variant.precision,
        "engine": f"onnxruntime {import_onnxruntime().__version__} CPU",
        "processor": this_cpu().name,
        "letters": list(manifest.letters),
    }
