"""Puts together what an experiment found: one JSON file that the tables are made from."""

from __future__ import annotations

import gzip
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rim_runtime.machine.cpu import this_cpu

from experiments.design import Design, Run
from experiments.running import record_of, scores_name

Results = dict[str, Any]


def collect(design: Design, work: Path) -> Results:
    """Return the results of all runs that are done."""
    return {
        "experiment": design.title,
        "over_seeds": design.over_seeds,
        "machine": _machine(),
        "warm_ups": [_trained(work, f"base-{seed}") | {"seed": seed} for seed in _warmed_up(design)],
        "runs": [found for run in design.runs if (found := _run(design, work, run))],
        "costs": {test: _costs(design, work, test) for test in design.tests},
    }


def _run(design: Design, work: Path, run: Run) -> Results | None:
    scores = {test: record_of(work, scores_name(run, test)) for test in design.tests}
    if not all(scores.values()):
        return None
    scored = {test: _without_folders(record["result"]) for test, record in scores.items()}
    trained = {} if design.condition(run.arm).arm is None else _trained(work, run.name)
    return {"arm": run.arm, "seed": run.seed} | trained | {"scores": scored}


def _without_folders(result: Results) -> Results:
    """Return a result that names what was scored without where it lay on the machine."""
    told = result.get("scored") or {}
    return result | {"scored": {key: value for key, value in told.items() if key != "path"}}


def _warmed_up(design: Design) -> tuple[int, ...]:
    return () if design.base else design.every_seed


def _trained(work: Path, name: str) -> Results:
    """Return how a checkpoint was trained."""
    record = record_of(work, name)
    summary = json.loads((work / name / "training.json").read_text(encoding="utf-8"))
    batch = summary["curriculum"]["batch_size"]
    stages = [{key: stage[key] for key in ("name", "steps", "loss")} for stage in summary["stages"]]
    curve = _curve(work / name / "metrics.jsonl")
    return ({"curve": curve} if curve else {}) | {
        "commit": record.get("commit"),
        "cpu_seconds": record.get("cpu_seconds"),
        "resumed_at": summary["resumed_at"],
        "examples": batch * sum(stage["steps"] for stage in stages),
        "stages": stages,
    }


def _curve(metrics: Path) -> list[list[float]]:
    """Return [steps of all stages, accuracy] of the scores within the stages."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return [[row["done"], row["right"] / row["asked"]] for row in rows if "asked" in row]


def _costs(design: Design, work: Path, test: str) -> Mapping[str, float]:
    """Return what an answer takes, in tokens, as means over the test's questions, by the first run's prompt."""
    from rim_edge.evaluation.checkpoint_answers import open_checkpoint

    _, encoder = open_checkpoint(work / design.runs[0].name)
    contract = encoder.contract
    with gzip.open(work / f"{test}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    written = [encoder.encode("\n".join(row["steps"])) for row in rows]
    answers = [encoder.encode(row["answer"]) for row in rows]
    return {
        "prompt": sum(len(encoder.prompt(row["question"])) for row in rows) / len(rows),
        "block": len(contract.block),
        "prefix": len(contract.prefix),
        "steps": sum(map(len, written)) / len(rows),
        "answer": sum(map(len, answers)) / len(rows),
    }


def _machine() -> Results:
    return {
        "processor": this_cpu().name,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
    }
