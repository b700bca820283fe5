"""The page's tables are those that the results give."""

from __future__ import annotations

import json
import shutil

import pytest

from experiments.command import PAGE
from experiments.lookup.__main__ import LONG, PLAN, SHALLOW
from experiments.markdown import fill
from experiments.over_seeds import effect_table, learning_table, over_seeds, single_blocks_table
from experiments.partners.__main__ import long_plan, plan
from experiments.prosqa.__main__ import PLAN as PROSQA
from experiments.smollm2.__main__ import GSM8K
from experiments.smollm2.__main__ import PLAN as SMOLLM2
from experiments.tables import tables_of

PARTNERS, PARTNERS_LONG = plan(6, 8), long_plan(6, 3)
DESIGNS = [PLAN, LONG, SHALLOW, SMOLLM2, GSM8K, PARTNERS, PARTNERS_LONG]
RUN = {
    PARTNERS_LONG.title: {"no-blocks": range(2)},
}
"""Seeds by condition, of designs whose other runs the page says are missing."""


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.title)
def test_the_page_shows_what_was_found(tmp_path, design):
    results = json.loads(design.results.read_text(encoding="utf-8"))
    done = RUN.get(design.title, design.seeds)
    planned = [(run.arm, run.seed) for run in design.runs if run.seed in done.get(run.arm, ())]
    assert [(run["arm"], run["seed"]) for run in results["runs"]] == planned
    page = tmp_path / "page.md"
    shutil.copyfile(PAGE, page)
    fill(page, tables_of(results))
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


def test_the_page_has_a_place_for_what_was_not_run():
    page = PAGE.read_text(encoding="utf-8")
    names = [f"prosqa {test}, {kind}" for test in (*PROSQA.tests, "published") for kind in ("accuracy", "blocks")]
    assert all(page.count(f"<!-- table: {name} -->\n<!-- end -->") == 1 for name in (*names, "prosqa, training"))


def test_a_page_without_a_place_for_a_table_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match="0 places for the table 'lookup, accuracy'"):
        fill(page, {"lookup, accuracy": "| |\n"})


def test_a_table_takes_the_place_of_the_one_before(tmp_path):
    page = tmp_path / "page.md"
    empty = "<!-- table: y -->\n<!-- end -->\n"
    page.write_text(f"{empty}a\n<!-- table: x -->\nold\n<!-- end -->\nb\n", encoding="utf-8")
    fill(page, {"y": "| y |\n", "x": "| x |\n"})
    filled = "<!-- table: y -->\n| y |\n<!-- end -->\na\n<!-- table: x -->\n| x |\n<!-- end -->\nb\n"
    assert page.read_text(encoding="utf-8") == filled


def test_intervals_over_seeds_by_hand():
    assert over_seeds([97.0]) == "97.0"
    assert over_seeds([1.0, 2.0, 3.0]) == "2.0 (each: 1.0, 2.0, 3.0)"
    # t = 3.182 of three degrees of freedom, a standard error of 0.645
    assert over_seeds([1.0, 2.0, 3.0, 4.0]) == "2.5 (0.4 to 4.6)"
    assert over_seeds([1.0, 2.0, 3.0, 4.0], (1.0, 4.0)) == "2.5 (1.0 to 4.0)"


def test_how_fast_a_condition_learns_and_how_far_it_is_from_rim():
    def run(arm, seed, accuracy, curve):
        score = {"accuracy": accuracy}
        return {"arm": arm, "seed": seed, "scores": {"test": {"by_blocks": {"0": score}}}, "curve": curve}

    runs = [
        run("rim", 0, 1.0, [[200, 0.5], [400, 0.9]]),
        run("rim", 1, 0.9, [[200, 0.5], [400, 0.7]]),
        run("no-blocks", 0, 0.5, [[200, 0.25], [400, 0.35]]),
        run("no-blocks", 1, 0.4, [[200, 0.25], [400, 0.35]]),
    ]
    lines = learning_table({"runs": runs}, "test").splitlines()
    assert lines[2] == "| `rim` | 95.0 (each: 100.0, 90.0) |  | 400, never in 1 | 65.0 |"
    assert lines[3] == "| `no-blocks` | 45.0 (each: 50.0, 40.0) | -50.0 (each: -50.0, -50.0) | never in 2 | 30.0 |"


def test_what_blocks_add_is_paired_by_seed_within_each_curriculum():
    shares = {
        "rim": (0.9, 0.7),
        "readouts-without-blocks": (0.5, 0.5),
        "fading-with-blocks": (0.2, 0.2),
        "curriculum-without-blocks": (0.2, 0.2),
        "no-curriculum": (0.5, 0.4),
        "no-blocks": (0.6, 0.5),
    }
    runs = [
        {"arm": arm, "seed": seed, "scores": {"test": {"by_blocks": {"0": {"accuracy": share}}}}}
        for arm, found in shares.items()
        for seed, share in enumerate(found)
    ]
    lines = effect_table({"runs": runs}, "test").splitlines()
    assert lines[2:] == [
        "| no curriculum | `no-curriculum` - `no-blocks` | -10.0 (each: -10.0, -10.0) |",
        "| text that fades | `fading-with-blocks` - `curriculum-without-blocks` | 0.0 (each: 0.0, 0.0) |",
        "| readouts | `rim` - `readouts-without-blocks` | 30.0 (each: 40.0, 20.0) |",
        "| all three |  | 6.7 (each: 10.0, 3.3) |",
    ]


def test_single_blocks_are_means_over_the_seeds_that_were_scored_so():
    def run(arm, seed, own, exchanged):
        by_blocks = {"0": {"accuracy": 0.1}, "10": {"accuracy": own}}
        told = {str(block): {"accuracy": share} for block, share in exchanged.items()}
        return {"arm": arm, "seed": seed, "scores": {"test": {"by_blocks": by_blocks, "exchanged_block": told}}}

    runs = [
        run("rim", 0, 0.9, {1: 0.5, 2: 0.25, 10: 0.125}),
        run("rim", 1, 0.7, {1: 0.75, 2: 0.5, 10: 0.25}),
        {"arm": "rim", "seed": 2, "scores": {"test": {"by_blocks": {"10": {"accuracy": 0.0}}}}},
        {"arm": "no-blocks", "seed": 0, "scores": {"test": {"by_blocks": {}, "exchanged_block": None}}},
        run("no-curriculum", 0, 0.5, {1: 0.5}),
    ]
    assert single_blocks_table({"runs": runs}, "test").splitlines() == [
        "| block exchanged | none | 1 | 2 | 10 |",
        "| --- | --- | --- | --- | --- |",
        "| `rim` | 80.0 | 62.5 | 37.5 | 18.8 |",
        "| `no-curriculum` | 50.0 | 50.0 |  |  |",
    ]


def test_results_of_before_single_blocks_were_exchanged_have_no_table_of_them():
    results = json.loads(PLAN.results.read_text(encoding="utf-8"))
    results["over_seeds"] = True
    assert not [name for name in tables_of(results) if "single blocks" in name]
    results["runs"][0]["scores"]["test"]["exchanged_block"] = {"1": {"accuracy": 0.5}}
    made = tables_of(results)
    assert "| `rim` | " in made["lookup, single blocks"]
    assert "| `rim` | 3 | 93.2 (each: 99.8, 81.8, 98.0) |\n" in made["lookup, accuracy"]
    assert made["lookup, by seed"].splitlines()[0] == "| seed | 0 | 1 | 2 |"
    assert "| `no-curriculum` | 36.4 |  |  |\n" in made["lookup, by seed"]
    assert made["lookup, blocks"].splitlines()[2].startswith("| `rim` | 29.3 | ")


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.title)
def test_results_name_no_folder_of_the_machine_that_they_come_from(design):
    assert '"/' not in design.results.read_text(encoding="utf-8")
