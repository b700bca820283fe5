"""The tables of a page, made from the results, so that no figure is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from experiments.design import BLOCK_ARMS, CHAIN_ARM

Table = str
_PLACE = r"(<!-- table: {name} -->\n)(?:.*?\n)??(<!-- end -->)"


def fill(page: Path, tables: Mapping[str, Table]) -> None:
    """Put the tables where the page names them."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        place = _PLACE.format(name=re.escape(name))
        text, count = re.subn(place, lambda found, made=table: found[1] + made + found[2], text, flags=re.S)
        if count != 1:
            raise ValueError(f"{page} has {count} places for the table '{name}', expected one.")
    page.write_text(text, encoding="utf-8")


def tables_of(results: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables of an experiment by name."""
    name, tests = results["experiment"], list(results["costs"])
    made = {}
    for test in tests:
        place = name if len(tests) == 1 else f"{name} {test}"
        made[f"{place}, accuracy"] = accuracy_table(results, test)
        made[f"{place}, blocks"] = blocks_table(results, test)
        if any(_exchanged(run, test) for run in results["runs"]):
            made[f"{place}, single blocks"] = single_blocks_table(results, test)
    if any("curve" in run for run in results["runs"]) or len({run["seed"] for run in results["runs"]}) > _FEW:
        made[f"{name}, learning"] = learning_table(results, tests[0])
    return made | {f"{name}, training": training_table(results)}


def accuracy_table(results: Mapping[str, Any], test: str) -> Table:
    """Show every arm as it is meant to be read, a column a seed; of few seeds with the questions' intervals."""
    arms = _by_arm(results)
    seeds = sorted({run["seed"] for run in results["runs"]})
    shown = _share if len(seeds) <= _FEW else lambda score: f"{100 * score['accuracy']:.1f}"
    rows = []
    for arm, runs in arms.items():
        scores = {run["seed"]: _own_score(run, test) for run in runs}
        cells = [shown(scores[seed]) if seed in scores else "" for seed in seeds]
        mean = f"**{100 * fmean(score['accuracy'] for score in scores.values()):.1f}**" if len(runs) > 1 else ""
        rows.append([f"`{arm}`", *_cost(runs[0], results["costs"][test], test), *cells, mean])
    heads = ["arm", "read", "passes", "tokens", *(f"seed {seed}" for seed in seeds), "mean"]
    return _table(heads, rows)


def blocks_table(results: Mapping[str, Any], test: str) -> Table:
    """Show the arms with blocks at every budget, the shuffled blocks and the oracle."""
    runs = [run for arm in BLOCK_ARMS for run in _by_arm(results).get(arm, [])]
    budgets = sorted({int(count) for run in runs for count in run["scores"][test]["by_blocks"]})
    rows = []
    for run in runs:
        scores = run["scores"][test]
        cells = [_share(scores["by_blocks"][str(count)]) for count in budgets]
        others = [_share(scores["shuffled_blocks"]), _share(scores["any_block_oracle"])]
        rows.append([f"`{run['arm']}`, seed {run['seed']}", *cells, *others])
    heads = ["", *(f"{count} blocks" if count != 1 else "1 block" for count in budgets)]
    return _table([*heads, "another question's blocks", "any block (oracle)"], rows)


def single_blocks_table(results: Mapping[str, Any], test: str) -> Table:
    """Show the conditions with blocks, as means over seeds in percent: no block exchanged, then each one alone.

    Only runs count that were scored so; one at least must be.
    """
    arms = _by_arm({"runs": [run for run in results["runs"] if _exchanged(run, test)]})
    blocks = sorted({block for runs in arms.values() for run in runs for block in _exchanged(run, test)})
    rows = []
    for arm, runs in arms.items():
        by_run = [{0: _own_score(run, test)} | _exchanged(run, test) for run in runs]
        shares = [[scores[block]["accuracy"] for scores in by_run if block in scores] for block in (0, *blocks)]
        rows.append([f"`{arm}`", *(f"{100 * fmean(found):.1f}" if found else "" for found in shares)])
    return _table(["block exchanged", "none", *map(str, blocks)], rows)


def _exchanged(run: Mapping[str, Any], test: str) -> dict[int, Mapping[str, float]]:
    """Return a run's scores by the one block that was exchanged; empty where that was not asked."""
    scores = run["scores"][test].get("exchanged_block") or {}
    return {int(block): score for block, score in scores.items()}


def learning_table(results: Mapping[str, Any], test: str) -> Table:
    """Show every condition's accuracy over its seeds, against RiM's of the same seeds, and how fast it learnt.

    How fast is known only of runs that were scored while they went on.
    """
    arms = _by_arm(results)
    first = {run["seed"]: _own_score(run, test)["accuracy"] for run in arms.get("rim", [])}
    rows = []
    for arm, runs in arms.items():
        scores = {run["seed"]: _own_score(run, test)["accuracy"] for run in runs}
        differences = [100 * (score - first[seed]) for seed, score in scores.items() if seed in first]
        curves = [run["curve"] for run in runs if "curve" in run]
        against = "" if arm == "rim" else over_seeds(differences)
        rows.append([f"`{arm}`", over_seeds([100 * score for score in scores.values()]), against, *_speed(curves)])
    heads = ["", "right, %", "against `rim`, points", f"steps to {100 * _SOLVED:.0f} %", "mean on the way, %"]
    known = len(heads) if any(row[-1] for row in rows) else len(heads) - 2
    return _table(heads[:known], [row[:known] for row in rows])


def _speed(curves: Sequence[Sequence[Sequence[float]]]) -> tuple[str, str]:
    """Return when each run was right often enough, and the area under all curves."""
    if not curves:
        return "", ""
    area = fmean(share for curve in curves for _, share in curve)
    return ", ".join(map(_solved, curves)), f"{100 * area:.1f}"


_SOLVED = 0.9
_FEW = 3
"""Seeds that are shown one by one alone."""


def _solved(curve: Sequence[Sequence[float]]) -> str:
    """Return the steps after which a run was right often enough, as often as it was scored."""
    return next((f"{steps:,.0f}" for steps, share in curve if share >= _SOLVED), "never")


def over_seeds(values: Sequence[float]) -> str:
    """Return the mean over seeds and, of two or more, its 95 % interval by Student's t."""
    if not values:
        return ""
    mean = fmean(values)
    if len(values) < 2:
        return f"{mean:.1f}"
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{mean:.1f} ({mean - half:.1f} to {mean + half:.1f})"


def training_table(results: Mapping[str, Any]) -> Table:
    """Show what the runs took."""
    warm_ups = {"warm-up (all arms)": results["warm_ups"]} if results["warm_ups"] else {}
    arms = warm_ups | {arm: runs for arm, runs in _by_arm(results).items() if "stages" in runs[0]}
    rows = []
    for arm, runs in arms.items():
        steps = " + ".join(str(stage["steps"]) for stage in runs[0]["stages"])
        seconds = [run["cpu_seconds"] for run in runs if run["cpu_seconds"] and not run["resumed_at"]]
        spent = ", ".join(f"{second / 60:.1f}" for second in seconds)
        rows.append([arm, steps, f"{runs[0]['examples']:,}", spent])
    return _table(["", "steps", "examples", "processor minutes, a run each"], rows)


def _own_score(run: Mapping[str, Any], test: str) -> Mapping[str, float]:
    """Return the score of a run as its arm is meant to be read."""
    scores = run["scores"][test]
    if run["arm"] == CHAIN_ARM:
        return scores["chain"]  # type: ignore[no-any-return]
    by_blocks = scores["by_blocks"]
    return by_blocks[max(by_blocks, key=int)]  # type: ignore[no-any-return]


def _cost(run: Mapping[str, Any], cost: Mapping[str, float], test: str) -> tuple[str, str, str]:
    """Return (how it is read, forward passes, tokens that go through the model) of an answer."""
    blocks = max(map(int, run["scores"][test]["by_blocks"]))
    one_pass = cost["prompt"] + blocks * cost["block"] + cost["prefix"]
    if run["arm"] != CHAIN_ARM:
        return f"{blocks} blocks", "1", f"{one_pass:.0f}"
    passes = cost["steps"] + cost["prefix"] + cost["answer"]
    return "its steps", f"{passes:.3g}", f"{cost['prompt'] + passes - 1:.0f}"


def _by_arm(results: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    arms: dict[str, list[Mapping[str, Any]]] = {}
    for run in sorted(results["runs"], key=lambda run: run["seed"]):
        arms.setdefault(run["arm"], []).append(run)
    order = list(dict.fromkeys(run["arm"] for run in results["runs"]))
    return {arm: arms[arm] for arm in order}


def _share(score: Mapping[str, float]) -> str:
    """Return an accuracy and its 95 % Wilson interval, in percent."""
    return f"{100 * score['accuracy']:.1f} ({100 * score['low']:.1f}–{100 * score['high']:.1f})"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
