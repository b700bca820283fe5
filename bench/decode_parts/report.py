"""The measured groups as one result, and as tables."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from decode_parts.measuring import GROUPS, LLAMA, group_of
from decode_parts.peers import PINS
from decode_parts.setting import Model, Setting
from decode_parts.targets import targets
from harness.machine import describe_machine
from harness.made import read_figures


def result_of(setting: Setting) -> dict[str, Any]:
    """Return the result of all groups that were measured."""
    return {
        "what": "text after a prompt, the likeliest token each time: one text, and several at once",
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": describe_machine(),
        "statistic": "medians of rounds in which all of a group are asked in turns; ratios within a group",
        "pins": PINS,
        "models": {model.name: _of_model(setting, model) for model in setting.models},
    }


def _of_model(setting: Setting, model: Model) -> dict[str, Any]:
    groups = {name: _part(setting, model, name) for name in GROUPS}
    made = {}
    for name in GROUPS:
        for writer in group_of(setting, model, name):
            figures = read_figures(writer.model)
            made[writer.name] = {key: value for key, value in figures.items() if key != "recipe"}
    return {"groups": groups, "made": made, "targets": targets(groups[LLAMA])}


def _part(setting: Setting, model: Model, group: str) -> dict[str, Any]:
    file = setting.part(model, group)
    return (
        dict(json.loads(file.read_text())) if file.is_file() else {"rows": {}, "missing": {"all": "not measured"}}
    )


def table(result: Mapping[str, Any]) -> str:
    """Return the result as tables in Markdown."""
    lines = []
    for name, model in result["models"].items():
        for group, found in model["groups"].items():
            lines += ["", f"**{name}, {group}**: memory {found.get('gigabytes_a_second')} GB/s", ""]
            lines += _rows(found)
            lines += [f"missing: {row}: {reason}" for row, reason in found["missing"].items()]
        lines.append("")
        for target in model["targets"]:
            met = {True: "met", False: "missed", None: "not measured"}[target["met"]]
            why = "; ".join(filter(None, (target["of"], target["bound"])))
            lines.append(f"- {target['name']}: {target['measured']} ({target['wanted']}), {met}: {why}")
    return "\n".join(lines)


def _rows(found: Mapping[str, Any]) -> list[str]:
    heads = ("", "tokens/s", "ms a token", "floor", "at once", "first token", "single pass", "GiB", "MB on disk")
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---' for _ in heads)} |"]
    for name, row in found["rows"].items():
        read, speed = row["bytes_a_token"], found["gigabytes_a_second"]
        cells = [name, f"{row['tokens_a_second']:.1f}", f"{row['token_ms']:.1f}"]
        cells += [f"{read / speed / 1e6:.1f}" if read and speed else "–", f"{row['many_tokens_a_second']:.1f}"]
        cells += [
            f"{row['first_token_s']:.3f} s",
            f"{row['single_pass_s']:.3f} s" if row["single_pass_s"] else "–",
        ]
        cells += [f"{row['memory_gib']['resident']:.2f}", f"{row['disk_bytes'] / 1e6:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
