"""What may change when a run is resumed: lengths, rates, what is scored, resources; and what may not."""

import json
import shutil
from dataclasses import replace

import pytest
from rim_runtime.errors import StorageError, TargetExistsError
from safetensors.torch import load_file, save_file

from rim_edge.errors import CurriculumError
from rim_edge.recipe.arms import Arm
from rim_edge.recipe.inputs import DataFile, EvalFile
from rim_edge.recipe.recipe import Keep, Lora, Resources, Scoring
from rim_edge.recipe.switches import Schedule
from rim_edge.training import run as run_module
from rim_edge.training.run import run_job
from rim_edge.training.saved_states import require_same_state
from rim_edge.training.summary import is_finished
from tests.train.hearing import Hearing
from tests.train.runs import CURRICULUM, interrupt, job, losses_of, make_base, weights


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    return make_base(tmp_path_factory.mktemp("base"), tiny_model)


def with_steps(given, *steps, **changes):
    """The job with stages of these lengths, and other changes of all stages."""
    stages = tuple(
        replace(stage, steps=count, extension=None, **changes)
        for stage, count in zip(CURRICULUM.stages, steps, strict=True)
    )
    return with_curriculum(given, stages=stages)


def with_curriculum(given, **changes):
    return replace(given, recipe=replace(given.recipe, curriculum=replace(CURRICULUM, **changes)))


def summary(folder):
    return json.loads((folder / "training.json").read_text())


@pytest.fixture(scope="module")
def longer(base, tmp_path_factory):
    """The losses and the weights of a run of 4 + 6 steps from the start."""
    given = with_steps(job(base, tmp_path_factory.mktemp("longer") / "out"), 4, 6)
    return losses_of(given)[0], weights(given.out)


def test_the_stage_that_is_being_trained_can_be_made_longer(base, longer, tmp_path):
    """Stage two has nothing that depends on its length, so nothing tells that it was to be shorter."""
    given = with_steps(job(base, tmp_path / "out"), 4, 4)
    begun = interrupt(given, 7)
    notes = []
    outcome = run_job(
        replace(with_steps(given, 4, 6), resume=True), Hearing(begin=lambda start: notes.extend(start.notes))
    )
    assert notes[0].startswith("two: 6 steps instead of 4; from step 7 of the run on, its rates and weights are")
    assert (outcome.resumed_at, [stage.steps for stage in outcome.stages]) == (6, [4, 6])
    assert begun[:6] == longer[0][:6]
    assert weights(given.out) == longer[1]
    assert [plan["steps"] for plan in summary(given.out)["plans"]] == [[4, 4], [4, 6]]


@pytest.mark.parametrize("scored", [False, True])
def test_a_finished_stage_can_be_made_longer_until_the_next_one_begins(
    base, longer, tmp_path, monkeypatch, scored
):
    def fail(*given):
        raise StorageError("The disk is full.")

    given = with_steps(job(base, tmp_path / "out"), 4, 4)
    given = replace(given, eval=EvalFile(base / "rows.jsonl", 2) if scored else None)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_trained", fail)
        with pytest.raises(StorageError):
            run_job(given)
    state = max((tmp_path / "out.progress").glob("step-*")).name
    assert state == ("step-00000008-scored" if scored else "step-00000008")
    rest, outcome = losses_of(replace(with_steps(given, 4, 6), resume=True))
    assert (outcome.resumed_at, rest) == (8, longer[0][8:])
    assert weights(given.out) == longer[1]
    assert outcome.stages[1].loss == pytest.approx(sum(longer[0][4:]) / 6, abs=1e-9)


def test_a_stage_that_has_not_begun_may_have_any_length_and_rate(base, tmp_path):
    given = with_steps(job(base, tmp_path / "out"), 4, 4)
    interrupt(given, 3)
    changed = with_steps(given, 4, 1, schedule=Schedule.LINEAR, warmup_share=0.5)
    outcome = run_job(replace(changed, resume=True))
    assert [stage.steps for stage in outcome.stages] == [4, 1]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((4, 1), r"cannot go on with 1 steps of two: 2 are done: expected at least as many\. Only stages"),
        ((7, 4), r"cannot go on with 7 steps of one: it ended after 4 and the next one has begun"),
        ((3, 4), r"cannot go on with 3 steps of one: 4 are done"),
    ],
)
def test_what_has_been_done_cannot_be_changed(base, tmp_path, steps, words):
    given = with_steps(job(base, tmp_path / "out"), 4, 4)
    interrupt(given, 7)
    with pytest.raises(CurriculumError, match=words):
        run_job(replace(with_steps(given, *steps), resume=True))
    assert run_job(replace(given, resume=True)).resumed_at == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda given: with_curriculum(given, batch_size=3),
            r"curriculum \(curriculum\.batch_size: 2 then, 3 now\)",
        ),
        (lambda given: with_curriculum(given, clip_norm=2.0), r"curriculum \(curriculum\.clip_norm: 1\.0 then"),
        (
            lambda given: with_curriculum(given, stages=CURRICULUM.stages[:1]),
            r"curriculum \(curriculum\.stages: .* now\)",
        ),
        (lambda given: replace(given, seed=4), r"seed \(seed: 3 then, 4 now\)"),
        (
            lambda given: replace(given, recipe=replace(given.recipe, lora=Lora(rank=3))),
            r"trains \(trains\[1\]\.rank: 2 then",
        ),
        (lambda given: replace(given, bad_rows="skip"), "bad rows"),
    ],
)
def test_what_decides_what_was_learned_may_not_change(base, tmp_path, change, words):
    given = job(base, tmp_path / "out")
    interrupt(given, 5)
    with pytest.raises(CurriculumError, match=f"saved by a run with another {words}") as caught:
        run_job(replace(change(given), resume=True))
    assert "may change. Start it as it was started then" in str(caught.value)


def test_resources_threads_and_records_may_change(base, tmp_path):
    given = job(base, tmp_path / "out")
    interrupt(given, 5)
    recipe = replace(given.recipe, resources=Resources(save_every=50, micro_batch=1, recompute=True))
    changed = replace(given, recipe=recipe, threads=2, tensorboard=tmp_path / "events", resume=True)
    assert run_job(changed).resumed_at == 4
    assert list((tmp_path / "events" / "out").iterdir())


def test_what_is_scored_may_change_and_stages_before_are_left_out(base, tmp_path):
    given = replace(job(base, tmp_path / "out"), eval=EvalFile(base / "rows.jsonl", 2))
    interrupt(given, 8)
    notes = []
    outcome = run_job(
        replace(given, eval=EvalFile(base / "rows.jsonl", 4), resume=True),
        Hearing(begin=lambda start: notes.extend(start.notes)),
    )
    assert notes[0].startswith("other rows are scored than before")
    assert [(stage.stage, stage.by_blocks[0].n) for stage in outcome.scores.stages] == [("two", 4)]


def test_a_stage_that_was_scored_last_is_scored_anew_on_other_rows(base, tmp_path, monkeypatch):
    def stop(step):
        if step.done == 6:  # the scored state of stage one is the last one
            raise RuntimeError

    given = replace(job(base, tmp_path / "out", every=100), eval=EvalFile(base / "rows.jsonl", 2))
    with pytest.raises(RuntimeError):
        run_job(given, Hearing(step=stop))
    told = []
    outcome = run_job(
        replace(given, eval=EvalFile(base / "rows.jsonl", 4), resume=True), Hearing(scored=told.append)
    )
    assert [scores.stage for scores in told] == ["one", "two"]
    assert {stage.by_blocks[0].n for stage in outcome.scores.stages} == {4}
    assert outcome.resumed_at == 5


def other_rows(base, folder):
    (folder / "other.jsonl").write_bytes((base / "rows.jsonl").read_bytes() + b"\n")
    return folder / "other.jsonl"


def other_model(base, folder):
    shutil.copytree(base, folder / "other")
    weights = load_file(folder / "other" / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, folder / "other" / "model.safetensors")
    return folder / "other"


def test_a_best_score_on_other_rows_is_forgotten(base, tmp_path, tiny_model):
    def scored(rows):
        given = with_curriculum(job(base, tmp_path / "out", every=1), stages=CURRICULUM.stages[1:])
        scoring = Scoring(every=1, keep=Keep.BEST)
        return replace(given, recipe=replace(given.recipe, scoring=scoring), eval=EvalFile(rows, 5))

    interrupt(scored(base / "rows.jsonl"), after=3)
    told = []
    run_job(
        replace(scored(other_rows(base, tmp_path)), resume=True), Hearing(begin=lambda run: told.extend(run.notes))
    )
    assert any("the best score so far is forgotten" in note for note in told)


def test_a_finished_run_says_how_to_train_on(base, tmp_path):
    given = with_steps(job(base, tmp_path / "out"), 1, 1)
    assert not is_finished(given)
    run_job(given)
    assert is_finished(given)
    with pytest.raises(
        TargetExistsError, match=r"cannot be made longer: its optimizer is gone\. Train on from its"
    ):
        is_finished(with_steps(given, 1, 2))
    other = {
        "seed": replace(given, seed=9),
        "arm": replace(given, arm=Arm.NO_BLOCKS),
        "data": replace(given, data=(DataFile(other_rows(base, tmp_path)),)),
        "model": replace(given, model=other_model(base, tmp_path)),
    }
    for what, run in other.items():
        with pytest.raises(
            TargetExistsError, match=rf"a finished run with another .*\b{what}\b.*another --output"
        ):
            is_finished(run)
    for text in ("", "{", "[]", "{}", "[" * 100_000):
        (given.out / "training.json").write_text(text)
        with pytest.raises(TargetExistsError, match=r"training\.json does not say which run wrote it"):
            is_finished(given)


def test_all_processes_begin_with_one_state():
    require_same_state([400, 400, 400])
    with pytest.raises(
        StorageError, match=r"Process 2 begins after 0 steps and the first one after 400.*all machines"
    ):
        require_same_state([400, 400, 0])
