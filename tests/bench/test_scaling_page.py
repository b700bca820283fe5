"""docs/scaling.md's seconds and hours are those of the committed results."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "scaling.md").read_text(encoding="utf-8")
LENGTHS = ("64", "152", "512")
ROWS = {
    "ort-cpu int8": ("card", "rim-edge int8 ort-cpu"),
    "ort-cpu int4": ("onnx", "rim-edge int4 ort-cpu"),
    "openvino int8": ("onnx", "rim-edge int8 openvino"),
    "ort-cpu fp32": ("card", "rim-edge fp32 ort-cpu"),
}
"""Rows of the page's table, and where their figures are."""


def result(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(
        (REPOSITORY / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8")
    )
    return read


@pytest.mark.parametrize("row", ROWS)
def test_hours_are_seconds_times_a_million(row: str) -> None:
    group, name = ROWS[row]
    measured = result("cpu")["parts"][group]["rows"][name]
    assert measured["layers"] == 28
    times = [measured["times"]["ask"][length]["p50_s"] for length in LENGTHS]
    cells = " | ".join(f"{seconds:.3f} s: {seconds * 1e6 / 3600:.0f} hours" for seconds in times)
    assert f"| {row} | {cells} |" in PAGE


def test_every_row_is_checked() -> None:
    table = PAGE.split("## What a million questions take")[1]
    assert set(re.findall(r"^\| ((?:ort|openvino|trt)\S* \w+) \|", table, re.MULTILINE)) == set(ROWS)


def test_the_example_is_the_formula() -> None:
    seconds = result("cpu")["parts"]["card"]["rows"]["rim-edge int8 ort-cpu"]["times"]["ask"]["152"]["p50_s"]
    hours = round(seconds * 1e6 / 3600)
    assert f"{hours} × 0.10 = {hours * 0.1:.2f}" in PAGE


def test_the_demos_rate_is_the_servers() -> None:
    rate = result("serve")["load"]["answers_a_second"]
    assert f"[{rate:.0f} answers a second]" in PAGE
    assert 1e6 / rate / 3600 == pytest.approx(0.5, abs=0.05)
