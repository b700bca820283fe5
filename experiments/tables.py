"""The tables of an experiment, made from its results: of a few seeds one by one, of many over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from experiments.design import BLOCK_ARMS
from experiments.markdown import Table, share, table
from experiments.over_seeds import tables_over_seeds
from experiments.scored import by_arm, cost, own_score


def tables_of(results: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables of an experiment by name."""
    name, tests = results["experiment"], list(results["costs"])
    made = {}
    if results.get("over_seeds"):
        made = {f"{name}, {kind}": found for kind, found in tables_over_seeds(results).items()}
    else:
        for test in tests:
            place = name if len(tests) == 1 else f"{name} {test}"
            made[f"{place}, accuracy"] = accuracy_table(results, test)
            if any(run["arm"] in BLOCK_ARMS for run in results["runs"]):
                made[f"{place}, blocks"] = blocks_table(results, test)
    return made | {f"{name}, training": training_table(results)}


def accuracy_table(results: Mapping[str, Any], test: str) -> Table:
    """Show every arm as it is meant to be read, a column a seed."""
    arms = by_arm(results)
    seeds = sorted({run["seed"] for run in results["runs"]})
    rows = []
    for arm, runs in arms.items():
        scores = {run["seed"]: own_score(run, test) for run in runs}
        cells = [share(scores[seed]) if seed in scores else "" for seed in seeds]
        mean = f"**{100 * fmean(score['accuracy'] for score in scores.values()):.1f}**" if len(runs) > 1 else ""
        rows.append([f"`{arm}`", *cost(runs[0], results["costs"][test], test), *cells, mean])
    heads = ["arm", "read", "passes", "tokens", *(f"seed {seed}" for seed in seeds), "mean"]
    return table(heads, rows)


def blocks_table(results: Mapping[str, Any], test: str) -> Table:
    """Show the arms with blocks at every budget, the shuffled blocks and the oracle."""
    runs = [run for arm in BLOCK_ARMS for run in by_arm(results).get(arm, [])]
    budgets = sorted({int(count) for run in runs for count in run["scores"][test]["by_blocks"]})
    rows = []
    for run in runs:
        scores = run["scores"][test]
        cells = [share(scores["by_blocks"][str(count)]) for count in budgets]
        found = (scores["shuffled_blocks"], scores["any_block_oracle"])
        others = ["" if score is None else share(score) for score in found]  # texts have no shuffled blocks
        rows.append([f"`{run['arm']}`, seed {run['seed']}", *cells, *others])
    heads = ["", *(f"{count} blocks" if count != 1 else "1 block" for count in budgets)]
    return table([*heads, "another question's blocks", "any block (oracle)"], rows)


def training_table(results: Mapping[str, Any]) -> Table:
    """Show what the runs took."""
    warm_ups = {"warm-up (all arms)": results["warm_ups"]} if results["warm_ups"] else {}
    arms = warm_ups | {arm: runs for arm, runs in by_arm(results).items() if "stages" in runs[0]}
    rows = []
    for arm, runs in arms.items():
        steps = " + ".join(str(stage["steps"]) for stage in runs[0]["stages"])
        seconds = [run["cpu_seconds"] for run in runs if run["cpu_seconds"] and not run["resumed_at"]]
        spent = ", ".join(f"{second / 60:.1f}" for second in seconds)
        rows.append([arm, steps, f"{runs[0]['examples']:,}", spent])
    return table(["", "steps", "examples", "processor minutes, a run each"], rows)
