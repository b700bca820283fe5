"""QThink's experiment: every condition trains and is scored, and the page shows what was found."""

import json
import shutil

import pytest

from experiments.markdown import fill
from experiments.qthink.__main__ import CONDITIONS, PAGE, RESULTS, collect, qthink_table, run_all
from rim_edge.puzzles.fresh import fresh_puzzles


def test_the_page_shows_what_was_found(tmp_path):
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert [len(results[name]) for name in CONDITIONS] == len(CONDITIONS) * [3]
    page = tmp_path / "page.md"
    shutil.copyfile(PAGE, page)
    fill(page, {"qthink": qthink_table(results)})
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


def test_the_table_by_hand():
    def runs(*right):
        told = {"n": 100, "cpu_seconds": 90.0}
        return {str(seed): told | {"right": count, "resumed_at": 5 * seed} for seed, count in enumerate(right)}

    lines = qthink_table({"teacher": runs(90, 80), "no-teacher": runs(70, 70)}).splitlines()
    assert lines[2].endswith("| 85.0 (each: 90.0, 80.0) |  | 1.5 |")
    assert lines[3].endswith("| 70.0 (each: 70.0, 70.0) | -15.0 (each: -20.0, -10.0) | 1.5 |")


@pytest.mark.slow
def test_every_condition_from_puzzles_to_results(tmp_path, in_process):
    (tmp_path / "puzzles").mkdir()
    for name, seed in (("train", 1), ("test", 2)):
        rows = "".join(json.dumps(puzzle.row()) + "\n" for puzzle in fresh_puzzles(12, seed))
        (tmp_path / "puzzles" / f"{name}.jsonl").write_text(rows)
    run_all(tmp_path, (0,), in_process, ("--steps", 2))
    results = collect(tmp_path)
    assert list(results) == list(CONDITIONS)
    assert all(runs["0"]["n"] == 12 for runs in results.values())
