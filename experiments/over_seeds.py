"""Tables of many seeds: means with intervals over seeds, and paired differences.

A seed is the unit: intervals over questions say nothing of how another run would end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from statistics import fmean, stdev
from typing import Any

from experiments.design import BLOCK_ARMS
from experiments.markdown import Table, table
from experiments.scored import by_arm, exchanged, own_score


def tables_over_seeds(results: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables by what they show; all but the first are of the first test."""
    test = next(iter(results["costs"]))
    made = {
        "accuracy": accuracy_over_seeds(results),
        "by seed": by_seed_table(results, test),
        "blocks": blocks_over_seeds(results, test),
        "learning": learning_table(results, test),
    }
    if {arm for pair in _PAIRS.values() for arm in pair} <= by_arm(results).keys():
        made["effect of blocks"] = effect_table(results, test)
    if any(exchanged(run, test) for run in results["runs"]):
        made["single blocks"] = single_blocks_table(results, test)
    return made


def accuracy_over_seeds(results: Mapping[str, Any]) -> Table:
    """Show every condition as it is meant to be read, a column a test, in percent."""
    tests = list(results["costs"])
    rows = [
        [f"`{arm}`", str(len(runs)), *(over_seeds(_percents(runs, test), _SHARES) for test in tests)]
        for arm, runs in by_arm(results).items()
    ]
    return table(["", "seeds", *tests], rows)


def by_seed_table(results: Mapping[str, Any], test: str) -> Table:
    """Show every run by itself, a column a seed, in percent: means hide runs that learn all or nothing."""
    arms = by_arm(results)
    seeds = sorted({run["seed"] for run in results["runs"]})
    rows = []
    for arm, runs in arms.items():
        scores = {run["seed"]: f"{100 * own_score(run, test)['accuracy']:.1f}" for run in runs}
        rows.append([f"`{arm}`", *(scores.get(seed, "") for seed in seeds)])
    return table(["seed", *map(str, seeds)], rows)


def blocks_over_seeds(results: Mapping[str, Any], test: str) -> Table:
    """Show the conditions with blocks by the number of blocks that are read, as means over seeds in percent."""
    arms = {arm: runs for arm, runs in by_arm(results).items() if arm in BLOCK_ARMS}
    counts = sorted({int(count) for runs in arms.values() for run in runs for count in _by_blocks(run, test)})
    rows = []
    for arm, runs in arms.items():
        means = [fmean(_by_blocks(run, test)[str(count)]["accuracy"] for run in runs) for count in counts]
        others = fmean(run["scores"][test]["shuffled_blocks"]["accuracy"] for run in runs)
        rows.append([f"`{arm}`", *(f"{100 * mean:.1f}" for mean in (*means, others))])
    return table(["blocks", *map(str, counts), "another question's"], rows)


def single_blocks_table(results: Mapping[str, Any], test: str) -> Table:
    """Show the conditions with blocks, as means over seeds in percent: no block exchanged, then each one alone.

    Only runs count that were scored so; one at least must be.
    """
    arms = by_arm({"runs": [run for run in results["runs"] if exchanged(run, test)]})
    blocks = sorted({block for runs in arms.values() for run in runs for block in exchanged(run, test)})
    rows = []
    for arm, runs in arms.items():
        by_run = [{0: own_score(run, test)} | exchanged(run, test) for run in runs]
        shares = [[scores[block]["accuracy"] for scores in by_run if block in scores] for block in (0, *blocks)]
        rows.append([f"`{arm}`", *(f"{100 * fmean(found):.1f}" if found else "" for found in shares)])
    return table(["block exchanged", "none", *map(str, blocks)], rows)


def learning_table(results: Mapping[str, Any], test: str) -> Table:
    """Show every condition's accuracy over its seeds, against RiM's of the same seeds, and how fast it learnt.

    How fast is known only of runs that were scored while they went on.
    """
    arms = by_arm(results)
    first = {run["seed"]: own_score(run, test)["accuracy"] for run in arms.get("rim", [])}
    rows = []
    for arm, runs in arms.items():
        scores = {run["seed"]: own_score(run, test)["accuracy"] for run in runs}
        differences = [100 * (score - first[seed]) for seed, score in scores.items() if seed in first]
        curves = [run["curve"] for run in runs if "curve" in run]
        against = "" if arm == "rim" else over_seeds(differences)
        rows.append([f"`{arm}`", over_seeds(_percents(runs, test), _SHARES), against, *_speed(curves)])
    heads = ["", "right, %", "against `rim`, points", f"steps to {100 * _SOLVED:.0f} %", "mean on the way, %"]
    known = len(heads) if any(row[-1] for row in rows) else len(heads) - 2
    return table(heads[:known], [row[:known] for row in rows])


_PAIRS = {
    "no curriculum": ("no-curriculum", "no-blocks"),
    "text that fades": ("fading-with-blocks", "curriculum-without-blocks"),
    "readouts": ("rim", "readouts-without-blocks"),
}
"""With K blocks and with none, by the curriculum that both have."""


def effect_table(results: Mapping[str, Any], test: str) -> Table:
    """Show what blocks add under each curriculum, in points, over the seeds that both have, and their mean."""
    runs = {(run["arm"], run["seed"]): 100 * own_score(run, test)["accuracy"] for run in results["runs"]}
    seeds = sorted({seed for _, seed in runs})
    found = {
        name: {
            seed: runs[k, seed] - runs[none, seed] for seed in seeds if {(k, seed), (none, seed)} <= runs.keys()
        }
        for name, (k, none) in _PAIRS.items()
    }
    shared = [seed for seed in seeds if all(seed in differences for differences in found.values())]
    rows = [
        [name, f"`{_PAIRS[name][0]}` - `{_PAIRS[name][1]}`", over_seeds([*differences.values()])]
        for name, differences in found.items()
    ]
    mean = [fmean(differences[seed] for differences in found.values()) for seed in shared]
    return table(["curriculum", "", "K blocks against none, points"], [*rows, ["all three", "", over_seeds(mean)]])


def _speed(curves: Sequence[Sequence[Sequence[float]]]) -> tuple[str, str]:
    """Return when each run was right often enough, and the area under all curves."""
    if not curves:
        return "", ""
    area = fmean(share for curve in curves for _, share in curve)
    solved = [steps for steps in map(_solved, curves) if steps is not None]
    never = len(curves) - len(solved)
    told = [f"{steps:,.0f}" for steps in sorted(solved)] + ([f"never in {never}"] if never else [])
    return ", ".join(told), f"{100 * area:.1f}"


_SOLVED = 0.9


def _solved(curve: Sequence[Sequence[float]]) -> float | None:
    """Return the steps after which a run was first right often enough; None if it never was."""
    return next((steps for steps, share in curve if share >= _SOLVED), None)


def over_seeds(values: Sequence[float], ends: tuple[float, float] = (-inf, inf)) -> str:
    """Return the mean over seeds with its 95 % interval by Student's t, cut off at the ends of what is possible.

    Of few seeds, each one's value stands instead.
    """
    if not values:
        return ""
    mean = fmean(values)
    if len(values) < 2:
        return f"{mean:.1f}"
    if len(values) < _ENOUGH:
        return f"{mean:.1f} (each: {', '.join(f'{value:.1f}' for value in values)})"
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{mean:.1f} ({max(ends[0], mean - half):.1f} to {min(ends[1], mean + half):.1f})"


_SHARES = (0.0, 100.0)
_ENOUGH = 4
"""Of three seeds, an interval by Student's t can be wider than all that is possible."""


def _percents(runs: Sequence[Mapping[str, Any]], test: str) -> list[float]:
    return [100 * own_score(run, test)["accuracy"] for run in runs]


def _by_blocks(run: Mapping[str, Any], test: str) -> Mapping[str, Mapping[str, float]]:
    return run["scores"][test]["by_blocks"]  # type: ignore[no-any-return]
