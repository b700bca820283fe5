"""What is measured, part by part: groups whose processes are alive together, each with our int8 as the yardstick.

Not all fit the memory at once, so ratios are taken within a group, never between two.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cpu_parts.answering import measure_start
from cpu_parts.batching import FILLERS, QUESTIONS, measure_batch
from cpu_parts.batching import ROUNDS as BATCH_ROUNDS
from cpu_parts.gemm import gemm_row
from cpu_parts.ours import FP8, FP32, INT4, INT8, OPENVINO, bundle_path, our_row
from cpu_parts.peers.card import card_row
from cpu_parts.peers.genai import PRECISIONS, genai_row
from cpu_parts.peers.llama_cpp import TYPES, llama_cpp_row
from cpu_parts.peers.nncf import nncf_row
from cpu_parts.questions import encoder_of, prompt_of
from harness.place import BENCH, Place
from harness.rounds import ROUNDS, Prompts, measure_cold, measure_group
from harness.row import Missing, Row

Rows = tuple[Row | Missing, ...]
ROOM = 8
"""Tokens that llama.cpp's context takes beyond the longest prompt."""


def groups(place: Place) -> dict[str, Rows]:
    """Return the groups: {part: rows that are alive together}."""
    layers, small = place.layers, place.slice_layers
    longest = max(ROUNDS) + ROOM
    yardstick = our_row(place, INT8, layers)
    return {
        "card": (yardstick, gemm_row(place), card_row(place, layers), our_row(place, FP32, layers)),
        "llama_cpp": (yardstick, *(llama_cpp_row(place, layers, kind, longest) for kind in TYPES)),
        "onnx": (
            yardstick,
            our_row(place, INT8, layers, OPENVINO),
            our_row(place, INT4, layers),
            *(genai_row(place, layers, precision) for precision in PRECISIONS),
        ),
        "fp8": (yardstick, our_row(place, FP8, layers)),
        "slice": (our_row(place, INT8, small), our_row(place, INT8, small, OPENVINO), nncf_row(place, small)),
    }


def measure_part(place: Place, name: str, rounds: Mapping[int, int]) -> dict[str, Any]:
    """Measure one part; return and keep what was found."""
    started = time.perf_counter()
    begun = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    result = {"begun": begun, "revision": revision(), **_measures(place, rounds)[name]()}
    result["seconds"] = round(time.perf_counter() - started, 1)
    place.parts.mkdir(parents=True, exist_ok=True)
    part_file(place, name).write_text(json.dumps(result, indent=1) + "\n")
    return result


def part_names(place: Place) -> tuple[str, ...]:
    """Return the parts in the order they are measured."""
    return (*groups(place), "start", "batch", "cold")


def part_file(place: Place, name: str) -> Path:
    """Return the file of a measured part."""
    return place.parts / f"{name}.json"


def _measures(place: Place, rounds: Mapping[int, int]) -> dict[str, Callable[[], dict[str, Any]]]:
    yardstick = our_row(place, INT8, place.layers)

    def group(rows: Rows) -> Callable[[], dict[str, Any]]:
        return lambda: measure_group(place, rows, _prompts(place, rounds), rounds)

    return {
        **{name: group(rows) for name, rows in groups(place).items()},
        "start": lambda: measure_start(place, yardstick, _prompts(place, ROUNDS)[152]["question"]),
        "batch": lambda: measure_batch(place, yardstick, _batches(place)),
        "cold": lambda: measure_cold(place, _every_row(place), _prompts(place, ROUNDS)),
    }


def _every_row(place: Place) -> Rows:
    """Return every row that answers, once."""
    rows = {row.name: row for rows in groups(place).values() for row in reversed(rows)}
    whole = {name: row for name, row in rows.items() if isinstance(row, Missing) or row.asks[0] != "int8"}
    return tuple(whole.values())


def _prompts(place: Place, rounds: Mapping[int, int]) -> Prompts:
    encoder = encoder_of(bundle_path(place, INT8, place.layers))
    return {length: prompt_of(encoder, length) for length in rounds}


def _batches(place: Place) -> dict[int, list[str]]:
    encoder = encoder_of(bundle_path(place, INT8, place.layers))
    fillers = FILLERS[:QUESTIONS]
    return {length: [prompt_of(encoder, length, word)["question"] for word in fillers] for length in BATCH_ROUNDS}


def revision() -> str:
    """Return the commit that is measured, `+` after it if files differ from it."""
    command = ["git", "-C", str(BENCH), "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
