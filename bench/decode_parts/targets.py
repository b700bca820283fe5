"""What is wanted of decoding, and what was measured for each: both sides from one group, asked in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from cpu_parts.targets import Target
from decode_parts.ours import INT4, INT4_32, INT8

Rows = Mapping[str, Mapping[str, Any]]
Compared = tuple[float, str]
"""What was found, and of what."""


def targets(group: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every target of a model, judged by its group with llama.cpp; what was not measured says so."""
    rows: Rows = group.get("rows", {})
    floor = _floors(rows, group.get("gigabytes_a_second"))
    wanted: tuple[tuple[str, float, Callable[[Rows], Compared], str], ...] = (
        ("int8 against llama.cpp Q8_0, tokens a second", 1.3, lambda rows: _faster(rows, (INT8,), "Q8_0"), floor),
        ("ours against llama.cpp Q4_0", 1.0, lambda rows: _faster(rows, (INT8, INT4, INT4_32), "Q4_0"), floor),
        (
            "int8, several texts at once against one",
            3.0,
            _at_once,
            "products of so few rows, and attention a text",
        ),
        ("int8, first token against the single pass", 0.95, _prefill, "the output projection over the vocabulary"),
    )
    return [asdict(_judged(rows, *one, group.get("missing", {}))) for one in wanted]


def _judged(
    rows: Rows,
    name: str,
    limit: float,
    compare: Callable[[Rows], Compared],
    bound: str,
    missing: Mapping[str, str],
) -> Target:
    wanted = f"≥ {limit:g} ×"
    try:
        found, of = compare(rows)
    except (KeyError, ValueError):  # a row is not there
        return Target(name, wanted, None, None, "", f"not measured: {dict(missing)}")
    met = found >= limit
    return Target(name, wanted, round(found, 3), met, of, "" if met else bound)


def _faster(rows: Rows, ours: tuple[str, ...], kind: str) -> Compared:
    mine = max((name for name in ours if name in rows), key=lambda name: rows[name]["tokens_a_second"])
    theirs = f"llama.cpp {kind}"
    speeds = [rows[name]["tokens_a_second"] for name in (mine, theirs)]
    return speeds[0] / speeds[1], f"{speeds[0]} of {mine} against {speeds[1]} of {theirs}"


def _at_once(rows: Rows) -> Compared:
    many, one = rows[INT8]["many_tokens_a_second"], rows[INT8]["tokens_a_second"]
    return many / one, f"{many} against {one} tokens a second"


def _prefill(rows: Rows) -> Compared:
    single, first = rows[INT8]["single_pass_s"], rows[INT8]["first_token_s"]
    return single / first, f"{first} s to the first token, {single} s for a letter of the same prompt"


def _floors(rows: Rows, gigabytes: float | None) -> str:
    """Return how near the memory's speed each row is that says how many bytes a token takes."""
    if not gigabytes:
        return "the memory's speed was not measured"
    told = []
    for name, row in rows.items():
        if row["bytes_a_token"]:
            floor = row["bytes_a_token"] / gigabytes / 1e6
            told.append(f"{name} {row['token_ms']} ms a token, floor {floor:.1f}")
    return f"memory at {gigabytes} GB/s: {'; '.join(told)}"
