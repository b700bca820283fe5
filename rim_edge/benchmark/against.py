"""A benchmark beside an earlier one of the same bundle: what has become slower, by more than is allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rim_edge.benchmark.engines import EngineSpeed
from rim_edge.errors import DataError

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
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        if not all(isinstance(one, dict) and {"engine", "precision"} <= set(one) for one in body["engines"]):
            raise ValueError("rows without an engine")
        return dict(body)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} is no benchmark ({type(error).__name__}: {error}), expected what 'rim-edge bench --json' "
            "printed or --save wrote."
        ) from None


def compare(
    now: Sequence[EngineSpeed], then: Mapping[str, Any], manifest_sha256: str, allowed: float
) -> tuple[Change, ...]:
    """Return what changed; `allowed` is how many times as slow it may be. Raises DataError (another bundle)."""
    if then.get("manifest_sha256") != manifest_sha256:
        raise DataError(
            f"The earlier benchmark is of the bundle {then.get('bundle')}, or of another export of it, expected "
            "this very one. Measure it anew."
        )
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
