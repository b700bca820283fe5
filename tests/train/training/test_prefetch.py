"""Runs whose batches are made ahead: the same bytes, the same draws, the same errors, and no thread left."""

import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from rim_export.checkpoint.prompt import RimSettings, derive_contract

from rim_edge.data.prefetch import THREAD, Works
from rim_edge.data.puzzle_source import PuzzleSource
from rim_edge.data.sources import RowSource
from rim_edge.errors import DataError, StoppedError
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.methods.rim.method import Rim
from rim_edge.recipe.curriculum import Curriculum, Extension, Stage
from rim_edge.recipe.inputs import EvalFile
from rim_edge.recipe.recipe import Keep, MicroBatch, Prefetch, Resources, Scoring
from rim_edge.recipe.switches import Alignment, Objective
from rim_edge.training import loop
from rim_edge.training import run as run_module
from rim_edge.training.loop import train
from rim_edge.training.run import run_job
from rim_edge.training.step import TrainingSetup
from rim_edge.training.stopping import StopRequest
from tests.train.hearing import Hearing
from tests.train.runs import interrupt, job, losses_of, make_base, weights

TIMES = ("tokens_per_second", "step_seconds", "seconds")


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    return make_base(tmp_path_factory.mktemp("base"), tiny_model)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Whatever a test here does to a run: when that has ended, so has the thread."""
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD)] == []


@pytest.fixture
def drawn(monkeypatch):
    """What sources of rows draw: the examples, for which objective, and whether in the background."""
    found, draw = [], RowSource.draw

    def told(source, count, objective):
        examples = draw(source, count, objective)
        found.append((examples, objective, threading.current_thread().name.startswith(THREAD)))
        return examples

    monkeypatch.setattr(RowSource, "draw", told)
    return found


def with_prefetch(given, prefetch=Prefetch.ON, **resources):
    changed = replace(given.recipe.resources, prefetch=prefetch, **resources)
    return replace(given, recipe=replace(given.recipe, resources=changed))


def metrics(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def summary(folder):
    return json.loads((folder / "training.json").read_text())


@pytest.mark.parametrize(("works", "micro_batch"), [(Works.THROUGHOUT, None), (Works.WHILE_WAITING, 1)])
def test_two_stages_of_which_one_is_extended_have_the_same_bytes(
    base, tmp_path, monkeypatch, drawn, works, micro_batch
):
    """On a CPU, and in the order in which a GPU has its work done."""
    monkeypatch.setattr(loop, "Works", SimpleNamespace(THROUGHOUT=works, WHILE_WAITING=works))
    off = with_prefetch(job(base, tmp_path / "off"), Prefetch.OFF, micro_batch=micro_batch)
    on = with_prefetch(job(base, tmp_path / "on"), micro_batch=micro_batch)
    losses = losses_of(off)[0]
    expected = drawn.copy()
    drawn.clear()
    assert losses_of(on)[0] == losses
    assert [one[:2] for one in drawn] == [one[:2] for one in expected]
    assert not any(in_thread for *_, in_thread in expected)
    ahead = [in_thread for *_, in_thread in drawn]
    assert ahead == [False, True, True, True, False, False, True, True, True], "step 5 extends stage one"
    assert weights(on.out) == weights(off.out)
    assert metrics(on.out) == metrics(off.out)
    assert [summary(folder)["resources"]["prefetch"] for folder in (off.out, on.out)] == ["off", "on"]


def test_a_cpu_makes_nothing_ahead_unless_it_is_told_to(base, tmp_path, drawn):
    run_job(job(base, tmp_path / "out"))
    assert not any(in_thread for *_, in_thread in drawn)
    assert summary(tmp_path / "out")["resources"]["prefetch"] == "auto"


@pytest.mark.parametrize(
    ("device", "told", "expected"),
    [
        ("cuda", Prefetch.AUTO, True),
        ("mps", Prefetch.AUTO, True),
        ("cpu", Prefetch.AUTO, False),
        ("cpu", Prefetch.ON, True),
        ("cuda", Prefetch.OFF, False),
    ],
)
def test_which_runs_prefetch(device, told, expected):
    processes = SimpleNamespace(device=torch.device(device))
    setup = TrainingSetup(None, None, None, None, Resources(prefetch=told), processes=processes)
    assert setup.prefetches is expected


@pytest.mark.parametrize("after", [3, 5, 7])
def test_a_run_goes_on_where_it_was_stopped(base, tmp_path, after):
    """Stopped in a stage, after its extension, and in the next one, each with a batch ahead or none."""
    off = with_prefetch(job(base, tmp_path / "off", every=100), Prefetch.OFF)
    losses = losses_of(off)[0]
    given, request, begun = with_prefetch(job(base, tmp_path / "on", every=100)), StopRequest(), []

    def stop(step):
        begun.append(step.loss)
        if step.done == after:
            request.make()

    with pytest.raises(StoppedError):
        run_job(given, Hearing(step=stop), request)
    rest, outcome = losses_of(replace(given, resume=True))
    assert (outcome.resumed_at, begun + rest) == (after, losses)
    assert weights(given.out) == weights(off.out)
    assert metrics(given.out) == metrics(off.out)


def test_a_run_that_was_interrupted_may_go_on_the_other_way(base, tmp_path):
    off = with_prefetch(job(base, tmp_path / "off"), Prefetch.OFF)
    losses = losses_of(off)[0]
    given = with_prefetch(job(base, tmp_path / "on"))
    assert interrupt(given, 7) == losses[:7]
    rest, outcome = losses_of(replace(with_prefetch(given, Prefetch.OFF), resume=True))
    assert (outcome.resumed_at, rest) == (6, losses[6:])
    assert weights(given.out) == weights(off.out)


@pytest.mark.parametrize("prefetch", [Prefetch.ON, Prefetch.OFF])
def test_nothing_is_drawn_for_a_step_that_a_score_takes_away(base, tmp_path, monkeypatch, drawn, prefetch):
    monkeypatch.setattr(run_module, "right_with_all", lambda setup, items, stage, doing: 0)
    given = with_prefetch(job(base, tmp_path / "out", every=100, eval=EvalFile(base / "rows.jsonl", 5)), prefetch)
    scoring = Scoring(every=1, keep=Keep.BEST, patience=1)
    outcome = run_job(replace(given, recipe=replace(given.recipe, scoring=scoring)))
    assert [stage.steps for stage in outcome.stages] == [5, 2]
    assert len(drawn) == 7
    drawn.clear()
    seldom = replace(given, out=tmp_path / "seldom")
    scoring = replace(scoring, every=2)
    run_job(replace(seldom, recipe=replace(seldom.recipe, scoring=scoring)))
    ahead = [in_thread for *_, in_thread in drawn]
    assert ahead == [on and prefetch is Prefetch.ON for on in (0, 1, 0, 1, 0, 0, 1, 0, 1)]


def puzzles(tiny_model, tokenizer, prefetch):
    """A run on puzzles, whose first stage is extended, and whose two objectives draw differently."""
    stages = (
        Stage("text", Objective.TEXT, 3, 1e-3, extension=Extension(0.0, at_most=4)),
        Stage("steps", Objective.STEPS, 2, 1e-3, alignment=Alignment.SAME_STEP),
        Stage("answer", Objective.ANSWER, 3, 1e-3, dropout=0.2),
    )
    method = Rim(ExampleEncoder(tokenizer, derive_contract(tokenizer, RimSettings(blocks=2))), 0)
    curriculum = Curriculum(stages, batch_size=3)
    model = tiny_model(vocabulary=1051)
    return TrainingSetup(model, method, PuzzleSource(1), curriculum, Resources(2, prefetch=prefetch), 5)


def test_puzzles_are_drawn_for_their_stages_and_no_more(tiny_model, tokenizer):
    told = []
    for prefetch in (Prefetch.OFF, Prefetch.ON):
        given, steps = puzzles(tiny_model, tokenizer, prefetch), []
        train(given, Hearing(step=steps.append))
        bare = [replace(step, tokens_per_second=0, step_seconds=0, seconds=0) for step in steps]
        told.append((bare, given.source._rng.getstate(), given.model.state_dict()))
    (off, drawn, weights_off), (on, drawn_ahead, weights_on) = told
    assert len(on) == 9
    assert (on, drawn_ahead) == (off, drawn)
    assert all(torch.equal(weights_on[name], tensor) for name, tensor in weights_off.items())


@pytest.mark.parametrize("prefetch", [Prefetch.ON, Prefetch.OFF])
def test_an_error_ends_the_run_at_the_same_step_in_its_own_words(base, tmp_path, monkeypatch, prefetch):
    draw, threads = RowSource.draw, []

    def failing(source, count, objective):
        threads.append(threading.current_thread().name.startswith(THREAD))
        if len(threads) == 4:
            raise DataError("row 7 is gone")
        return draw(source, count, objective)

    monkeypatch.setattr(RowSource, "draw", failing)
    losses = []
    with pytest.raises(DataError, match=r"^row 7 is gone$"):
        run_job(
            with_prefetch(job(base, tmp_path / "out"), prefetch),
            Hearing(step=lambda step: losses.append(step.loss)),
        )
    assert (len(losses), threads[-1]) == (3, prefetch is Prefetch.ON)


def test_passes_that_run_out_of_memory_are_made_again(tiny_model, tokenizer, monkeypatch):
    """Halved in the first step, when the next batch is being made for passes of three, and so to be cut again."""
    given = puzzles(tiny_model, tokenizer, Prefetch.ON)
    whole = replace(given, resources=Resources(MicroBatch.AUTO, prefetch=Prefetch.ON))
    one_by_one = replace(puzzles(tiny_model, tokenizer, Prefetch.OFF), resources=Resources(1))
    steps = {"auto": [], "one": []}
    rows = []
    score = whole.method.scorer

    def limited(model):
        scorer = score(model)
        forward = scorer.forward

        def checked(batch):
            rows.append(len(batch.ids))
            if len(batch.ids) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(batch)

        scorer.forward = checked
        return scorer

    stages = tuple(replace(stage, dropout=0.0) for stage in whole.curriculum.stages)
    curriculum = replace(whole.curriculum, stages=stages)
    train(replace(one_by_one, curriculum=curriculum), Hearing(step=steps["one"].append))
    monkeypatch.setattr(Rim, "scorer", lambda method, model: limited(model))
    train(replace(whole, curriculum=curriculum), Hearing(step=steps["auto"].append))
    assert rows == [3, *4 * 3 * [1], 3, *2 * 3 * [1], 3, *3 * 3 * [1]]
    assert [step.loss for step in steps["auto"]] == [step.loss for step in steps["one"]]
    assert {step.micro_batch for step in steps["auto"]} == {1}
    one, auto = one_by_one.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(auto[name], tensor) for name, tensor in one.items())
