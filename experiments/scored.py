"""What the results say of scored runs: by condition, as each is meant to be read, and what an answer takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.design import CHAIN_ARM


def own_score(run: Mapping[str, Any], test: str) -> Mapping[str, float]:
    """Return the score of a run as its arm is meant to be read."""
    scores = run["scores"][test]
    if run["arm"] == CHAIN_ARM:
        return scores["chain"]  # type: ignore[no-any-return]
    by_blocks = scores["by_blocks"]
    return by_blocks[max(by_blocks, key=int)]  # type: ignore[no-any-return]


def cost(run: Mapping[str, Any], tokens: Mapping[str, float], test: str) -> tuple[str, str, str]:
    """Return (how it is read, forward passes, tokens that go through the model) of an answer.

    A letter is read in one pass; what is written takes one more for each token but the first.
    """
    blocks = max(map(int, run["scores"][test]["by_blocks"]))
    one_pass = tokens["prompt"] + blocks * tokens["block"] + tokens["prefix"]
    if run["arm"] != CHAIN_ARM:
        passes = run["scores"][test].get("measured", {}).get(str(blocks), {}).get("tokens", 1)
        return f"{blocks} blocks", f"{passes:.3g}", f"{one_pass + passes - 1:.0f}"
    passes = tokens["steps"] + tokens["prefix"] + tokens["answer"]
    return "its steps", f"{passes:.3g}", f"{tokens['prompt'] + passes - 1:.0f}"


def by_arm(results: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the runs by condition, in the order of the design, each condition's by seed."""
    arms: dict[str, list[Mapping[str, Any]]] = {}
    for run in sorted(results["runs"], key=lambda run: run["seed"]):
        arms.setdefault(run["arm"], []).append(run)
    order = list(dict.fromkeys(run["arm"] for run in results["runs"]))
    return {arm: arms[arm] for arm in order}


def exchanged(run: Mapping[str, Any], test: str) -> dict[int, Mapping[str, float]]:
    """Return a run's scores by the one block that was exchanged; empty where that was not asked."""
    scores = run["scores"][test].get("exchanged_block") or {}
    return {int(block): score for block, score in scores.items()}
