"""Scores within a stage: the weights with the best one are kept, a stage that gains nothing more ends early."""

import json
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from rim_edge.errors import CurriculumError
from rim_edge.recipe.arms import Arm
from rim_edge.recipe.inputs import EvalFile
from rim_edge.recipe.recipe import Keep, Scoring
from rim_edge.training import run as run_module
from rim_edge.training.run import run_job
from tests.train.hearing import Hearing
from tests.train.runs import InterruptedByTestError, job, make_base, weights

SCORES = {1: 1, 2: 2, 3: 0, 4: 0, 6: 3, 7: 4, 8: 4, 9: 1}
"""Right answers by the steps done; 1 to 4 in stage one, whose fifth step ends it, then those of stage two."""


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    return make_base(tmp_path_factory.mktemp("base"), tiny_model)


@pytest.fixture
def told(monkeypatch):
    """Let a run's scores within its stages be those above, and count them."""
    asked = []

    def right_with_all(setup, items, stage, doing):
        return SCORES[asked[-1]]

    def measurer(prepared, listener):
        measure = made(prepared, listener)

        def counted(stage, state):
            asked.append(state.done)
            return measure(stage, state)

        return counted

    made = run_module._measurer
    monkeypatch.setattr(run_module, "right_with_all", right_with_all)
    monkeypatch.setattr(run_module, "_measurer", measurer)
    return asked


def scored(base, out, **scoring):
    given = job(base, out, every=100, eval=EvalFile(base / "rows.jsonl", 5))
    return replace(given, recipe=replace(given.recipe, scoring=Scoring(**scoring)))


def summary(folder):
    return json.loads((folder / "training.json").read_text())


def test_the_best_weights_of_the_last_stage_are_kept(base, tmp_path, told):
    last = scored(base, tmp_path / "last", every=1)
    run_job(replace(last, recipe=replace(last.recipe, scoring=Scoring())))
    run_job(scored(base, tmp_path / "best", every=1, keep=Keep.BEST))
    assert told == [1, 2, 3, 4, 6, 7, 8], "after a stage it is scored anyway"
    assert summary(tmp_path / "best")["best"] == {"done": 7, "right": 4}
    assert weights(tmp_path / "best") != weights(tmp_path / "last")
    short = scored(base, tmp_path / "short")
    two = replace(short.recipe.curriculum.stages[1], steps=2)
    curriculum = replace(short.recipe.curriculum, stages=(short.recipe.curriculum.stages[0], two))
    run_job(replace(short, recipe=replace(short.recipe, curriculum=curriculum)))
    kept, wanted = load_file(tmp_path / "best" / "model.safetensors"), load_file(short.out / "model.safetensors")
    for name, tensor in wanted.items():  # constant rates and no decay with time: two steps are two steps
        assert tensor.equal(kept[name]), name
    told_of_both = [summary(folder)["accuracy_by_blocks"] for folder in (tmp_path / "best", short.out)]
    assert told_of_both[0] == told_of_both[1], "the scores are those of the weights that were kept"


def test_an_interrupted_run_keeps_the_same_weights(base, tmp_path, told):
    whole = scored(base, tmp_path / "whole", every=1, keep=Keep.BEST)
    run_job(whole)
    for after in (7, 8):
        given = replace(whole, out=tmp_path / f"interrupted-{after}")
        given = replace(
            given, recipe=replace(given.recipe, resources=replace(given.recipe.resources, save_every=1))
        )

        def broken(step, after=after):
            if step.done == after + 1:
                raise InterruptedByTestError

        with pytest.raises(InterruptedByTestError):
            run_job(given, Hearing(step=broken))
        run_job(replace(given, resume=True))
        assert weights(given.out) == weights(whole.out)
        assert summary(given.out)["best"] == {"done": 7, "right": 4}


def test_a_stage_that_gains_nothing_more_ends(base, tmp_path, told):
    outcome = run_job(scored(base, tmp_path / "out", every=1, keep=Keep.BEST, patience=1))
    assert told == [1, 2, 3, 4, 6, 7, 8], "stage one is not chosen from: it goes on"
    assert [stage.steps for stage in outcome.stages] == [5, 3]
    assert outcome.best.done == 7


def test_a_stage_that_ends_early_is_saved_before_it_is_scored(base, tmp_path, told, monkeypatch):
    given = scored(base, tmp_path / "out", every=1, keep=Keep.BEST, patience=1)
    made = run_module.right_answers

    def failing(setup, items, stage, *others):
        if stage.name == "two":
            raise RuntimeError("an engine's fault")
        return made(setup, items, stage, *others)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "right_answers", failing)
        with pytest.raises(RuntimeError, match="fault"):
            run_job(given)
    steps = []
    outcome = run_job(replace(given, resume=True), Hearing(step=steps.append))
    assert (outcome.resumed_at, steps, outcome.best.done) == (8, [], 7)


def test_scores_are_recorded(base, tmp_path):
    given = scored(base, tmp_path / "out", every=2)
    outcome = run_job(given)
    rows = [json.loads(line) for line in (given.out / "metrics.jsonl").read_text().splitlines()]
    measured = [row for row in rows if "asked" in row]
    assert [(row["stage"], row["step"], row["done"]) for row in measured] == [
        ("one", 2, 2),
        ("one", 4, 4),
        ("two", 2, 7),
    ]
    assert all(row["asked"] == 5 and 0 <= row["right"] <= 5 for row in measured)
    assert outcome.best is None


def test_what_cannot_be_scored_is_refused(base, tmp_path):
    given = scored(base, tmp_path / "out", every=2)
    with pytest.raises(CurriculumError, match=r"\[scoring\].*Pass --eval FILE"):
        run_job(replace(given, eval=None))
    best = scored(base, tmp_path / "out", every=2, keep=Keep.BEST)
    with pytest.raises(CurriculumError, match='keep is "best"'):
        run_job(replace(best, arm=Arm.COT))
    with pytest.raises(CurriculumError, match=r"scoring.patience is 3"):
        Scoring(patience=3)
    with pytest.raises(CurriculumError, match=r'patience is 3 beside keep = "last", expected keep = "best" too'):
        Scoring(every=5, patience=3)
