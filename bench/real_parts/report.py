"""The measured parts as one result, and as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cpu_parts.parts import revision
from harness.machine import describe_machine
from harness.made import read_figures
from real_parts.candidate import Candidate
from real_parts.measuring import ALL_BLOCKS, NO_BLOCKS, PARTS, read_part
from real_parts.peers import PINS
from real_parts.setting import SEED, Setting


def result_of(setting: Setting, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Return the result of all parts that were measured."""
    parts = {part: read_part(setting, part) for part in PARTS}
    rows: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for candidate in candidates:
        figures = read_figures(setting.made(candidate.name))
        if "failed" in figures:
            missing[candidate.name] = figures["failed"]
            continue
        found = {
            part: parts[part]["rows"][candidate.name] for part in PARTS if candidate.name in parts[part]["rows"]
        }
        for part in PARTS:
            if reason := parts[part]["missing"].get(candidate.name):
                missing[f"{candidate.name}: {part}"] = reason
        kept = {part: {key: value for key, value in row.items() if key != "recipe"} for part, row in found.items()}
        making = {key: figures[key] for key in ("seconds", "peak_gib") if key in figures}
        rows[candidate.name] = {
            "ours": candidate.ours,
            "note": candidate.note,
            "bytes": candidate.bytes,
            "made": making,
            **kept,
        }
    return {
        "what": "a real model in each precision against transformers in fp32: error on text, letters, time, bytes",
        "model": setting.model.name if setting.model.name != "checkpoint" else setting.model.parent.name,
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "revision": revision(),
        "machine": describe_machine(),
        "pins": PINS,
        "seed": SEED,
        "text": setting.text.name,
        "prompt_tokens": parts["time"].get("prompt_tokens"),
        "rows": rows,
        "missing": missing,
    }


def table(result: Mapping[str, Any]) -> str:
    """Return the result as a table in Markdown."""
    heads = ("", "MB", "time", "top-1 kept", "KL a token", "flips, near ties (0 blocks)", "KL", "flips (8)", "KL")
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---' for _ in heads)} |"]
    for name, row in result["rows"].items():
        text, letters, times = (row.get(part, {}) for part in PARTS)
        cells = [name, f"{row['bytes'] / 1e6:.1f}", f"{times['of_fp32']:.2f}" if "of_fp32" in times else "–"]
        cells += [f"{text['top1_kept']:.1%}", f"{text['kl']:.4f}"] if text else ["–", "–"]
        for blocks in (NO_BLOCKS, ALL_BLOCKS):
            found = letters.get(blocks)
            cells += [f"{found['flips']}, {found['near_ties']}", f"{found['kl']:.4f}"] if found else ["–", "–"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
