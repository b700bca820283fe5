"""A benchmark beside an earlier one of the same bundle: what has become slower, by more than is allowed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rim_runtime.machine.given_file import read_given
from rim_runtime.machine.json_files import parse_json

from rim_edge.benchmark.engines import EngineSpeed
from rim_edge.errors import DataError

_EXPECTED = "what 'rim-edge bench --json' printed or --save wrote"
_LOWER_IS_BETTER = {"first_answer_s": True, "p50_ms": True, "first_token_ms": True, "tokens_a_second": False}
"""What is compared. p99 is not: one disturbed answer of a hundred is the machine's."""


@dataclass(frozen=True)
class Change:
    """One figure, then and now."""

    engine: str
    precision: str
    figure: str
    then: float
    now: float
    slower: float
    """How many times as slow it is now; below 1 it is faster."""
    is_regression: bool
    """Whether that is more than is allowed."""


def read_benchmark(file: Path) -> Mapping[str, Any]:
    """Return what `rim-edge bench --json` printed into a file. Raises DataError."""
    content = read_given(file, _EXPECTED, DataError)
    try:
        body = parse_json(content.decode("utf-8-sig"))
    except ValueError as error:
        raise _no_benchmark(file, f"no JSON: {error}") from None
    if why := _fault(body):
        raise _no_benchmark(file, why)
    return dict(body)


def require_same_bundle(then: Mapping[str, Any], manifest_sha256: str) -> None:
    """Raise DataError where an earlier benchmark is of another bundle."""
    if then["manifest_sha256"] != manifest_sha256:
        raise DataError(
            f"The earlier benchmark is of the bundle {then.get('bundle')}, or of another export of it, expected "
            "this very one. Measure it anew."
        )


def _no_benchmark(file: Path, why: str) -> DataError:
    return DataError(f"{file} is no benchmark ({why}), expected {_EXPECTED}.")


def _fault(body: object) -> str | None:
    """Return what is wrong with a benchmark; None: nothing."""
    if not isinstance(body, dict):
        return f"found {type(body).__name__}"
    engines = body.get("engines")
    if not isinstance(engines, list) or not isinstance(body.get("manifest_sha256"), str):
        return "no engines, or no bundle"
    for number, one in enumerate(engines, 1):
        if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("engine", "precision")):
            return f"row {number} has no engine and precision"
        for figure in _LOWER_IS_BETTER:
            if not _is_figure(one.get(figure)):
                found = json.dumps(one[figure])[:60]
                return f"{figure} of {one['engine']} is {found}, which is no number of at least 0"
    return None


def _is_figure(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def compare(
    now: Sequence[EngineSpeed], then: Mapping[str, Any], manifest_sha256: str, allowed: float
) -> tuple[Change, ...]:
    """Return what changed; `allowed` is how many times as slow it may be. Raises DataError (another bundle)."""
    require_same_bundle(then, manifest_sha256)
    before = {(one["engine"], one["precision"]): one for one in then["engines"]}
    changes = []
    for row in now:
        other = before.get((row.engine, row.precision))
        for figure, lower in _LOWER_IS_BETTER.items():
            new, old = getattr(row, figure), (other or {}).get(figure)
            if new and old:
                slower = new / old if lower else old / new
                changes.append(Change(row.engine, row.precision, figure, old, new, slower, slower > allowed))
    if not changes:
        raise DataError("The earlier benchmark has none of these engines and precisions, expected one at least.")
    return tuple(changes)
