"""Damaged saved states: found before a model is loaded, named, and stepped over where there is another."""

import json
import os
import shutil
from dataclasses import replace

import pytest
from rim_runtime.errors import CheckError

from rim_edge.errors import DamagedStateError
from rim_edge.training import prepare as prepare_module
from rim_edge.training.run import run_job
from tests.train.hearing import Hearing
from tests.train.runs import STEPS, interrupt, job, losses_of, make_base, weights


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    return make_base(tmp_path_factory.mktemp("base"), tiny_model)


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    given = job(base, tmp_path_factory.mktemp("whole") / "out")
    losses_of(given)
    return weights(given.out)


@pytest.fixture(scope="module")
def stopped(base, tmp_path_factory):
    """The progress folder of a run that was interrupted after its state of step 4."""
    given = job(base, tmp_path_factory.mktemp("stopped") / "out")
    interrupt(given, 5)
    return given.out.with_name("out.progress")


def cut(path):
    os.truncate(path, path.stat().st_size - 50)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def in_json(path, change):
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


DAMAGES = {
    "cut": cut,
    "flipped": flip,
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(os.urandom(200)),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "deep": lambda path: path.write_text("[" * 100_000),
    "other JSON": lambda path: path.write_text('{"steps": 3}'),
    "a list": lambda path: path.write_text("[]"),
}
FILES = ("state.json", "weights.safetensors", "optimizer.safetensors")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_state_is_named_with_what_to_do(base, stopped, tmp_path, monkeypatch, name, damage):
    shutil.copytree(stopped, tmp_path / "out.progress")
    DAMAGES[damage](tmp_path / "out.progress" / "step-00000004" / name)
    monkeypatch.setattr(prepare_module, "load_trainable", None)  # found before a model is loaded
    with pytest.raises(
        DamagedStateError, match=rf"step-00000004/{name} .*there is no other saved state\. Res"
    ) as c:
        run_job(job(base, tmp_path / "out", resume=True))
    assert f"delete {tmp_path / 'out.progress'} to begin anew" in str(c.value)
    assert isinstance(c.value, CheckError)
    assert (tmp_path / "out.progress" / "step-00000004").is_dir(), "nothing is deleted"


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(steps=5),
        lambda body: body["run"].update(seed=9),
        lambda body: body["losses"].clear(),
        lambda body: body.pop("sha256"),
    ],
)
def test_an_edited_state_is_no_state(base, stopped, tmp_path, change):
    shutil.copytree(stopped, tmp_path / "out.progress")
    in_json(tmp_path / "out.progress" / "step-00000004" / "state.json", change)
    with pytest.raises(DamagedStateError, match="its content is not what its own SHA-256 says"):
        run_job(job(base, tmp_path / "out", resume=True))


def test_an_earlier_state_is_used_where_there_is_one(base, whole, stopped, tmp_path):
    """As a killed process leaves them: the new state is there, and the one before it not yet deleted."""
    given, notes = job(base, tmp_path / "out"), []
    interrupt(given, 7)  # its state is that of step 6
    shutil.copytree(stopped / "step-00000004", tmp_path / "out.progress" / "step-00000004")
    cut(tmp_path / "out.progress" / "step-00000006" / "weights.safetensors")
    outcome = run_job(replace(given, resume=True), Hearing(begin=lambda start: notes.extend(start.notes)))
    assert "step-00000006/weights.safetensors is damaged: it has " in notes[0]
    assert notes[0].endswith("; an earlier state is used")
    assert (outcome.resumed_at, weights(given.out)) == (4, whole)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("damage", "rows"),
    [
        (lambda path: path.unlink(), 0),
        (lambda path: path.write_bytes(b""), 0),
        (lambda path: path.write_bytes(os.urandom(100)), 0),
        (cut, 0),
        (lambda path: path.write_text(path.read_text() + '{"stage": "one", "st'), 1),
        (lambda path: path.write_text(path.read_text() + "[" * 100_000), 1),
    ],
)
def test_damaged_metrics_cost_rows_and_nothing_else(base, whole, stopped, tmp_path, damage, rows):
    shutil.copytree(stopped, tmp_path / "out.progress")
    damage(tmp_path / "out.progress" / "step-00000004" / "metrics.jsonl")
    given, notes = job(base, tmp_path / "out", resume=True), []
    outcome = run_job(given, Hearing(begin=lambda start: notes.extend(start.notes)))
    assert "metrics.jsonl is damaged: " in notes[0]
    assert notes[0].endswith(f"its first {rows} rows are kept" if rows else "no row of it is kept")
    told = [json.loads(line) for line in (given.out / "metrics.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in told] == ["one"] * rows + ["two"]
    assert sum(stage.steps for stage in outcome.stages) == STEPS
    assert weights(given.out) == whole


def test_what_a_killed_run_left_half_written_is_cleared_and_named(base, whole, stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "out.progress")
    (tmp_path / "out.progress" / ".step-00000006.abc").mkdir()
    (tmp_path / "out.progress" / ".step-00000006.abc" / "weights.safetensors").write_text("half")
    (tmp_path / "out.progress" / ".metrics.jsonl.xyz").write_text("half")
    (tmp_path / ".out.rim-edge-unfinished").mkdir()
    given, notes, seen = job(base, tmp_path / "out", resume=True), [], []

    def begin(start):
        notes.extend(start.notes)
        seen.extend(path.name for path in (tmp_path / "out.progress").iterdir())

    run_job(given, Hearing(begin=begin))
    assert notes[0].endswith(": .metrics.jsonl.xyz, .out.rim-edge-unfinished, .step-00000006.abc")
    assert not [name for name in seen if name.startswith(".")]
    assert weights(given.out) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_state_of_another_release_is_not_opened(base, stopped, tmp_path, monkeypatch):
    monkeypatch.setattr("rim_edge.training.saved_states._SCHEMA", 3)
    shutil.copytree(stopped, tmp_path / "out.progress")
    with pytest.raises(DamagedStateError, match="has the schema 2, expected 3"):
        run_job(job(base, tmp_path / "out", resume=True))
