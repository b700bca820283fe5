"""From measured parts to one result, and to tables that people read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cpu_parts.gemm import NAME as GEMM
from cpu_parts.gemm import gemm_summary
from cpu_parts.ours import VARIANTS, bundle_path
from cpu_parts.parts import part_file, part_names
from cpu_parts.targets import targets
from harness.machine import describe_machine
from harness.made import read_figures
from harness.place import Place
from harness.rounds import ROUNDS
from rim_runtime import Bundle

MADE = ("ours", "gguf", "genai", "nncf")


def report(place: Place, remarks: Sequence[str]) -> dict[str, Any]:
    """Return everything that was made and measured, and the targets. Parts that were not measured say so.

    `remarks` are what a reader should know about this run.
    """
    parts = {name: _part(part_file(place, name)) for name in part_names(place)}
    result: dict[str, Any] = {
        "what": f"Qwen3-1.7B geometry, {place.layers} layers, random weights; prompts of 64, 152 and 512 tokens",
        "machine": describe_machine(),
        "statistic": "p50 and p90 of interleaved rounds; ratios are p50 to p50 within one group",
        "remarks": list(remarks),
        "made": _made(place),
        "weights_bytes": _weights(place),
    }
    gemm = parts.get("card", {}).get("rows", {}).pop(GEMM, None)
    if gemm:
        result["gemm"] = gemm_summary(gemm, place.layers)
    for part in parts.values():
        for row in part.get("rows", {}).values():
            if "answers" in row:
                row["answers"] = {ask: _agreed(answers) for ask, answers in row["answers"].items()}
    result["parts"] = parts
    return {**result, "targets": targets(result)}


def _part(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text())) if file.is_file() else {"missing": {"all": "not measured"}}


def _made(place: Place) -> dict[str, Any]:
    return {
        f"{maker} {layers} layers": {
            file.name.removesuffix(".json"): _figures(file.with_suffix(""))
            for file in sorted((place.work / f"{maker}-{layers}").glob("*.json"))
        }
        for maker in MADE
        for layers in sorted({place.layers, place.slice_layers}, reverse=True)
        if (place.work / f"{maker}-{layers}").is_dir()
    }


def _figures(target: Path) -> dict[str, Any]:
    return {name: value for name, value in read_figures(target).items() if name != "recipe"}


def _weights(place: Place) -> dict[str, int]:
    """Return the bytes of each bundle's weights."""
    found = {}
    for variant in VARIANTS:
        folder = bundle_path(place, variant, place.layers)
        if "failed" not in read_figures(folder):
            bundle = Bundle.load(folder)
            found[variant.name] = bundle.manifest.files[bundle.manifest.variants[0].data].bytes
    return found


def _agreed(answers: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return each length's answer, if it was always the same one."""
    return {length: given[0] if all(a == given[0] for a in given) else given for length, given in answers.items()}


def print_tables(result: Mapping[str, Any]) -> None:
    """Print each group's times, the products' peaks, and the targets."""
    for name, part in result["parts"].items():
        _print_part(name, part)
    for row, entry in result["parts"]["cold"].get("rows", {}).items():
        print(f"cold: {row:50} start {entry['start_s']:7.2f} s, first answer {entry['first_s']:.2f} s")
    for length, entry in result.get("gemm", {}).get("int8", {}).items():
        peaks = f"int8 {entry['best_gops']} GOPS, fp32 {result['gemm']['fp32'][length]['best_gops']}"
        print(f"products, {length} tokens: {peaks}; a whole model's in int8 {entry['model_s']} s")
    for target in result["targets"]:
        state = {True: "met", False: "MISSED", None: "?"}[target["met"]]
        why = "; ".join(text for text in (target["of"], target["bound"]) if text)
        print(f"{state:7}{target['name']}: {target['measured']} ({target['wanted']}) {why}")


def _print_part(name: str, part: Mapping[str, Any]) -> None:
    rows = {row: entry for row, entry in part.get("rows", {}).items() if "times" in entry}
    if rows:
        lengths = " ".join(f"{f'{length} p50':>8} {'p90':>7}" for length in ROUNDS)
        print(f"\n{name:58} {lengths}    res  peak GiB")
    for row, entry in rows.items():
        _print_row(row, entry)
    for row, reason in part.get("missing", {}).items():
        print(f"  {row}: not measured: {reason[:200]}")


def _print_row(name: str, entry: Mapping[str, Any]) -> None:
    memory = entry["memory_gib"]
    for ask, lengths in entry["times"].items():
        shown = name if ask == "ask" else f"{name}, {ask}"
        times = " ".join(f"{time['p50_s']:8.3f} {time['p90_s']:7.3f}" for time in lengths.values())
        print(f"  {shown:56} {times} {memory['resident']:6.2f} {memory['peak']:5.2f}")
