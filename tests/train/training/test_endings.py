"""How runs end: asked to stop, diverged, failed while they write; and what another run may not touch."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from rim_export.errors import UnsupportedModelError
from rim_runtime.errors import StorageError, TargetExistsError
from rim_runtime.rows.row import read_row
from safetensors.torch import load_file, save_file

from rim_edge.cli import main
from rim_edge.data.rows import example_of_row
from rim_edge.errors import CurriculumError, DivergedError, OutOfMemoryError, StoppedError
from rim_edge.evaluation.checkpoint_answers import open_checkpoint
from rim_edge.evaluation.items import items_of
from rim_edge.evaluation.scores import Read, report
from rim_edge.model import cpu
from rim_edge.recipe.inputs import EvalFile
from rim_edge.training import loop
from rim_edge.training import run as run_module
from rim_edge.training.identity import Identity
from rim_edge.training.run import run_job
from rim_edge.training.saved_states import SavedStates
from rim_edge.training.stopping import StopRequest
from tests.train.answers import answers_read
from tests.train.hearing import Hearing
from tests.train.runs import STEPS, interrupt, job, losses_of, make_base, weights


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    return make_base(tmp_path_factory.mktemp("base"), tiny_model)


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    """The losses and the folder of a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    return losses_of(scored(base, folder))[0], folder


def scored(base, out, **options):
    """A job that is scored after both stages."""
    return job(base, out, every=100, eval=EvalFile(base / "rows.jsonl", 4), **options)


def fail(error):
    def failing(*given):
        raise error

    return failing


def summary(folder):
    return json.loads((folder / "training.json").read_text())


def test_a_disk_that_is_full_at_the_end_costs_no_step(base, whole, tmp_path, monkeypatch):
    given = scored(base, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_trained", fail(StorageError("The disk is full.")))
        with pytest.raises(
            StorageError, match=r"full\. The last state is .*step-00000009-scored: go on with --res"
        ):
            run_job(given)
    assert not given.out.exists()
    told = []
    outcome = run_job(replace(given, resume=True), Hearing(step=told.append, scored=told.append))
    assert (outcome.resumed_at, told) == (STEPS, []), "nothing is trained or scored again"
    assert weights(given.out) == weights(whole[1])
    assert summary(given.out)["scores"] == summary(whole[1])["scores"]


def test_an_error_while_a_stage_is_scored_costs_no_step(base, whole, tmp_path, monkeypatch):
    given = scored(base, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "right_answers", fail(RuntimeError("an engine's fault")))
        with pytest.raises(RuntimeError, match="fault"):
            run_job(given)
    rest, outcome = losses_of(replace(given, resume=True))
    assert (outcome.resumed_at, rest) == (5, whole[0][5:])
    assert summary(given.out)["scores"] == summary(whole[1])["scores"]


@pytest.mark.parametrize("name", ["prepare", "write_trained"])
def test_memory_that_runs_out_around_the_steps_is_told_too(base, tmp_path, monkeypatch, name):
    monkeypatch.setattr(run_module, name, fail(torch.OutOfMemoryError("CUDA out of memory.")))
    with pytest.raises(OutOfMemoryError, match=r"Memory ran out \(CUDA.*Close what else holds memory"):
        run_job(scored(base, tmp_path / "out"))


def test_the_librarys_user_keeps_the_allocator(base, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu.ctypes, "CDLL", fail(AssertionError("mallopt is the command's alone")))
    run_job(job(base, tmp_path / "out"))


@pytest.mark.parametrize("name", ["draw_accuracy", "write_summary"])
def test_what_lies_beside_the_weights_does_not_cost_them(base, whole, tmp_path, monkeypatch, name):
    monkeypatch.setattr(run_module, name, fail(RuntimeError("no font")))
    outcome = run_job(scored(base, tmp_path / "out"))
    assert weights(tmp_path / "out") == weights(whole[1])
    said = outcome.notes[0] if name == "write_summary" else outcome.no_picture
    missing = "training.json" if name == "write_summary" else "accuracy.svg"
    assert said == f"{missing} could not be written (RuntimeError: no font)"
    assert {path.name for path in whole[1].iterdir()} - {path.name for path in outcome.checkpoint.iterdir()} == {
        missing
    }


def test_a_request_to_stop_is_followed_after_the_step(base, whole, tmp_path):
    given, request, losses = scored(base, tmp_path / "out"), StopRequest(), []

    def stop(step):
        losses.append(step.loss)
        if step.done == 3:
            request.make()

    with pytest.raises(
        StoppedError, match=r"^Stopped after step 3\. The last state is .*step-00000003: go on with --"
    ):
        run_job(given, Hearing(step=stop), request)
    rest, outcome = losses_of(replace(given, resume=True))
    assert (outcome.resumed_at, losses + rest) == (3, whole[0])
    assert weights(given.out) == weights(whole[1])


def test_scoring_is_stopped_too(base, whole, tmp_path):
    given, request = scored(base, tmp_path / "out"), StopRequest()

    def stop(text):
        if text.startswith("scoring one"):
            request.make()

    with pytest.raises(StoppedError, match=r"^Stopped while one was scored\. The last state is .*step-00000005: "):
        run_job(given, Hearing(doing=stop), request)
    assert run_job(replace(given, resume=True)).resumed_at == 5
    assert summary(given.out)["scores"] == summary(whole[1])["scores"]


CONFIG = """
trains = "full"
[curriculum]
batch_size = 2
[[curriculum.stages]]
name = "one"
objective = "steps"
steps = 6
learning_rate = 1e-3
"""


SIGNALLED = """
import os, signal, sys
from rim_edge.cli import main
from rim_edge.training import loop

number, *command = sys.argv[1:]

def signalled(setup, module, batch, waiting):
    if batch.step == 3:
        os.kill(os.getpid(), int(number))
    return take_step(setup, module, batch, waiting)

take_step, loop.take_step = loop.take_step, signalled
before = signal.getsignal(signal.SIGINT)
try:
    main(command)
except SystemExit as ended:
    print(ended.code, file=sys.stderr)
assert signal.getsignal(signal.SIGINT) is before
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these")
@pytest.mark.parametrize(("number", "code", "form"), [(signal.SIGINT, 130, []), (signal.SIGTERM, 143, ["--json"])])
def test_signals_stop_the_command(base, tmp_path, capfd, number, code, form):
    (tmp_path / "mine.toml").write_text(CONFIG)
    command = ["train", "--config", str(tmp_path / "mine.toml"), "--model", str(base), "--threads", "1"]
    command += ["--data", str(base / "rows.jsonl"), "--output", str(tmp_path / "out")]
    program = [sys.executable, "-c", SIGNALLED, str(int(number)), *command, *form]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"\n{code}\n")
    assert "note: stopping after this step" in done.stderr
    last = "Stopped after step 4. The last state is "
    if form:
        error = json.loads(done.stdout)["error"]
        assert (error["code"], error["kind"]) == (code, "stopped")
        assert error["message"].startswith(last)
        assert f"error: {last}" in done.stderr
    else:
        assert done.stdout == ""
        assert f"note: {last}" in done.stderr
    assert "step-00000004: go on with --resume." in done.stderr
    with pytest.raises(SystemExit) as ended:
        main([*command, "--resume", "--json"])
    assert ended.value.code in (None, 0)
    assert json.loads(capfd.readouterr().out)["resumed_at"] == 4


def test_a_diverged_run_goes_on_with_a_lower_rate(base, tmp_path, monkeypatch):
    def diverging(setup, module, batch, waiting):
        taken = take_step(setup, module, batch, waiting)
        return replace(taken, loss=float("nan")) if (batch.stage.name, batch.step) == ("two", 2) else taken

    given, take_step = job(base, tmp_path / "out"), loop.take_step
    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", diverging)
        with pytest.raises(
            DivergedError, match=r"The last state is .*6: go on with --resume and a lower learning_rate"
        ):
            run_job(given)
    stages = tuple(replace(stage, learning_rate=1e-3) for stage in given.recipe.curriculum.stages)
    lower = replace(given.recipe, curriculum=replace(given.recipe.curriculum, stages=stages))
    assert run_job(replace(given, recipe=lower, resume=True)).resumed_at == 6
    assert summary(given.out)["plans"] == [
        {"since": 0, "learning_rates": [1e-2, 1e-2], "steps": [4, 4]},
        {"since": 6, "learning_rates": [1e-3, 1e-3], "steps": [4, 4]},
    ]


def test_weights_that_are_not_finite_are_not_saved_as_a_state(base, tmp_path):
    saved = SavedStates.beside(tmp_path / "out")
    with saved.in_use():
        with pytest.raises(DivergedError, match="1 of 2 weights of w are not finite"):
            saved.save(loop.TrainingState(), {"w": torch.tensor([1.0, torch.inf])}, Identity({}, None))
        assert saved.latest() is None


def test_another_model_of_the_same_shape_is_another_run(base, tmp_path):
    given = job(base, tmp_path / "out")
    interrupt(given, 5)
    other = tmp_path / "other"
    shutil.copytree(base, other)
    tensors = load_file(other / "model.safetensors")
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] + 1}, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(CurriculumError, match="saved by a run with another model"):
        run_job(replace(given, model=other, resume=True))
    assert run_job(replace(given, resume=True)).resumed_at == 4


def test_letters_and_open_answers_are_scored_apart_after_each_stage(base, tmp_path):
    """As `rim-edge eval` scores the checkpoint, which is saved in fp32."""
    rows = [{"question": f"Why not {n}?", "answer": "AB"[n % 2], "letters": "ABCDEFGHIJ"} for n in range(4)]
    rows += [{"question": f"How many {n}?", "answer": str(n)} for n in range(2)]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = run_job(job(base, tmp_path / "out", eval=EvalFile(tmp_path / "mixed.jsonl")))
    model, encoder = open_checkpoint(tmp_path / "out")
    items = items_of([example_of_row(read_row(row), None, None) for row in rows])
    read = {blocks: answers_read(model, encoder, items, blocks) for blocks in range(4)}
    found = report(items, Read(read))
    for name in ("letters", "open"):
        scores, expected = getattr(outcome.scores, name), getattr(found, name)
        assert scores.stages[-1].by_blocks == tuple(expected.by_blocks.values())
        assert scores.majority == expected.majority
        assert summary(tmp_path / "out")["scores"][name]["n"] == expected.majority.n
    assert outcome.scores.stages[-1].by_blocks == tuple(found.by_blocks.values())


@pytest.mark.parametrize("kind", ["bloom", "gpt_neox"])
def test_a_model_that_cannot_be_exported_is_refused_before_it_is_trained(base, tmp_path, kind):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(UnsupportedModelError, match=f"model_type is '{kind}', supported: "):
        run_job(replace(job(base, tmp_path / "out"), model=tmp_path / "base"))
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_on_the_same_output_is_refused(base, tmp_path, resume):
    given = job(base, tmp_path / "out")
    interrupt(given, 5)
    words = r"out\.progress is in use by another run, .* Wait until"
    saved = SavedStates.beside(given.out)
    with saved.in_use():
        saved.metrics.write_text("mine")
        with pytest.raises(TargetExistsError, match=words):
            run_job(replace(given, resume=resume))
        assert saved.metrics.read_text() == "mine"


def test_a_lock_of_a_dead_process_is_taken_over(base, tmp_path):
    given = job(base, tmp_path / "out")
    interrupt(given, 5)
    (tmp_path / "out.progress" / "lock").write_text("process 999999 on here")
    assert run_job(replace(given, resume=True)).resumed_at == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
