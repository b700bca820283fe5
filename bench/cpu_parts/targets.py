"""The targets, and what was measured for each: same statistic on both sides, both from one interleaved group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.rounds import TARGET_LENGTH

LENGTH = str(TARGET_LENGTH)
OURS = "rim-edge int8 ort-cpu"
GIB = 2**30
Parts = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """What was wanted and what was found."""

    name: str
    """What it is about."""
    wanted: str
    """Its bound, as a reader reads it."""
    measured: float | None
    """What was found, in the unit of the bound; None where it was not measured."""
    met: bool | None
    """Whether it is within the bound; None where it was not measured."""
    of: str
    """The two things that were compared."""
    bound: str
    """What bounds it where it is missed; or why it was not measured."""


@dataclass(frozen=True)
class Goal:
    """A bound on something that is measured."""

    name: str
    """What it is about."""
    sign: str
    """`≤` or `≥`."""
    limit: float
    """The bound."""
    unit: str
    """Its unit."""
    measure: Callable[[Parts], tuple[float, str]]
    """Returns what was found, and of what; raises KeyError or ValueError where it was not measured."""
    bound: str
    """What bounds it where it is missed."""


def targets(result: Parts) -> list[dict[str, Any]]:
    """Return every target as JSON says it; a target whose part was not measured says so."""
    return [asdict(_judged(goal, result)) for goal in GOALS]


def _judged(goal: Goal, result: Parts) -> Target:
    wanted = f"{goal.sign} {goal.limit:g} {goal.unit}"
    try:
        measured, of = goal.measure(result)
    except (KeyError, ValueError) as error:
        return Target(goal.name, wanted, None, None, "", f"not measured: {error}")
    met = measured <= goal.limit if goal.sign == "≤" else measured >= goal.limit
    return Target(goal.name, wanted, round(measured, 3), met, of, "" if met else goal.bound)


def _row(result: Parts, part: str, name: str) -> Mapping[str, Any]:
    return dict(result["parts"][part]["rows"][name])


def _p50(result: Parts, part: str, name: str, ask: str = "ask") -> float:
    return float(_row(result, part, name)["times"][ask][LENGTH]["p50_s"])


def _of_gemm(field: str, kind: str = "int8") -> Callable[[Parts], tuple[float, str]]:
    def measure(result: Parts) -> tuple[float, str]:
        ours, allowed = _p50(result, "card", OURS), float(result["gemm"][kind][LENGTH][field])
        return ours / allowed, f"{ours:.4f} s against {allowed:.4f} s for the model's products alone"

    return measure


def _of_snippet(result: Parts) -> tuple[float, str]:
    ours, theirs = _p50(result, "card", OURS), _p50(result, "card", "transformers bf16", "snippet")
    return theirs / ours, f"{ours:.4f} s against {theirs:.4f} s"


def _of_llama(result: Parts) -> tuple[float, str]:
    rows = [name for name in result["parts"]["llama_cpp"]["rows"] if name != OURS]
    best = min(rows, key=lambda name: _p50(result, "llama_cpp", name))
    ours, theirs = _p50(result, "llama_cpp", OURS), _p50(result, "llama_cpp", best)
    return theirs / ours, f"{ours:.4f} s against {theirs:.4f} s of {best}"


def _of_openvino(engines: tuple[str, ...]) -> Callable[[Parts], tuple[float, str]]:
    def measure(result: Parts) -> tuple[float, str]:
        rows = result["parts"]["slice"]["rows"]
        peer = next((name for name in rows if name.startswith("OpenVINO NNCF")), None)
        if peer is None:
            raise ValueError(f"no row of OpenVINO's own: {result['parts']['slice']['missing']}")
        ours = [name for name in rows if name.split(",")[0] in {f"rim-edge int8 {engine}" for engine in engines}]
        best = min(ours, key=lambda name: _p50(result, "slice", name))
        mine, theirs = _p50(result, "slice", best), _p50(result, "slice", peer)
        return mine / theirs, f"{mine:.4f} s of {best} against {theirs:.4f} s of {peer}"

    return measure


def _of_memory(result: Parts) -> tuple[float, str]:
    row = _row(result, "card", OURS)
    resident, weights = row["memory_gib"]["resident"], result["weights_bytes"]["int8"] / GIB
    early = row["memory_first_gib"]["resident"]
    of = f"{resident:.3f} GiB after lengths to 512 ({early:.3f} after the first), weights {weights:.3f} GiB"
    return resident / weights, of


def _of_start(result: Parts) -> tuple[float, str]:
    part = result["parts"]["start"]
    return float(part["warm"]["p50_s"]), f"process to printed answer; first load {part['first_load']['p50_s']} s"


def _of_batch(result: Parts) -> tuple[float, str]:
    entry = result["parts"]["batch"]["lengths"][LENGTH]
    batch, single = entry["batch_per_s"], entry["singles_per_s"]
    return batch / single, f"{batch} against {single} answers a second, 16 of {LENGTH} tokens"


def _of_int4_bytes(result: Parts) -> tuple[float, str]:
    small, large = (result["weights_bytes"][name] / 1e9 for name in ("int4", "int8"))
    return small / large, f"{small:.3f} GB against {large:.3f} GB"


def _of_int4_time(result: Parts) -> tuple[float, str]:
    small, large = _p50(result, "onnx", "rim-edge int4 ort-cpu"), _p50(result, "onnx", OURS)
    return small / large, f"{small:.4f} s against {large:.4f} s"


BETWEEN = "attention, norms and rounding between the products"
FAST_ALREADY = "one prompt alone keeps all cores busy, and large batches fall out of the caches"
GOALS = (
    Goal(
        "int8 against the products at their measured peaks",
        "≤",
        1.2,
        "×",
        _of_gemm("model_s"),
        f"a model finds its weights in memory, not in the cache; {BETWEEN}",
    ),
    Goal(
        "int8 against the products all at the best peak",
        "≤",
        1.2,
        "×",
        _of_gemm("model_at_best_s"),
        f"a model finds its weights in memory, not in the cache; {BETWEEN}",
    ),
    Goal(
        "int8 against the products with weights from memory",
        "≤",
        1.2,
        "×",
        _of_gemm("model_s", "int8 streamed"),
        BETWEEN,
    ),
    Goal("faster than the card's snippet", "≥", 5, "×", _of_snippet, BETWEEN),
    Goal(
        "faster than llama.cpp's best", "≥", 2.5, "×", _of_llama, "our own distance to the products' peak, above"
    ),
    Goal("no slower than OpenVINO's own int8: ort-cpu", "≤", 1, "×", _of_openvino(("ort-cpu",)), "attention"),
    Goal(
        "no slower than OpenVINO's own int8: our faster engine",
        "≤",
        1,
        "×",
        _of_openvino(("ort-cpu", "openvino")),
        "the row normalisation, which OpenVINO's own form does without",
    ),
    Goal(
        "resident memory against the weights", "≤", 1.25, "×", _of_memory, "activations, and weights packed anew"
    ),
    Goal("warm start to answer", "≤", 3, "s", _of_start, "reading the tokenizer, and the answer itself"),
    Goal("a batch of 16 against single asks", "≥", 1.15, "×", _of_batch, FAST_ALREADY),
    Goal(
        "int4's bytes against int8's",
        "≤",
        0.5,
        "×",
        _of_int4_bytes,
        "4 bits are half of 8; scales and norms come on top",
    ),
    Goal(
        "int4's time against int8's",
        "≤",
        2.8,
        "×",
        _of_int4_time,
        "activations rounded and weights widened block by block",
    ),
)
