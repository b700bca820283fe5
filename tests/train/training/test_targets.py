"""What a run will write is tried before anything is read; a disk without room is refused before training."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rim_runtime.errors import StorageError, TargetExistsError

from rim_edge.cli import main
from rim_edge.errors import CurriculumError, DataError
from rim_edge.recipe.inputs import DataFile, EvalFile, LeakedRows
from rim_edge.training import run as run_module
from rim_edge.training import targets as targets_module
from rim_edge.training.run import run_job
from tests.train.hearing import Hearing
from tests.train.runs import CURRICULUM, job, make_base


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    return make_base(tmp_path_factory.mktemp("base"), tiny_model)


@pytest.fixture
def nothing_read(monkeypatch):
    monkeypatch.setattr(run_module, "read_inputs", None)


def a_file(folder):
    (folder / "file").write_text("mine")
    return folder / "file"


@pytest.mark.parametrize("place", ["out", "tensorboard"])
@pytest.mark.parametrize("where", ["a file", "below a file", "/proc", "a long name"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(
    base, tmp_path, nothing_read, place, where
):
    if where == "/proc" and not Path("/proc/self").exists():
        pytest.skip("this system has no /proc")
    target = {
        "a file": lambda: a_file(tmp_path),
        "below a file": lambda: a_file(tmp_path) / "x" / "y",
        "/proc": lambda: Path("/proc/rim-edge/x"),
        "a long name": lambda: tmp_path / ("x" * 300) / "y",
    }[where]()
    given = replace(job(base, tmp_path / "out"), **{place: target})
    with pytest.raises((StorageError, TargetExistsError)) as caught:
        run_job(given)
    assert str(target) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] in ([], ["file"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is read-only for the superuser")
def test_a_folder_that_is_read_only(base, tmp_path, nothing_read):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        run_job(job(base, tmp_path / "closed" / "out"))


def test_a_disk_without_room_is_refused_before_training(base, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(targets_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(
        StorageError, match=r"0\.0 GB free, expected 0\.0 GB: two saved states, or one and the check"
    ):
        run_job(job(base, tmp_path / "out"), Hearing(begin=lambda start: pytest.fail("it began")))
    assert list(tmp_path.iterdir()) == []


RECIPE = """
[curriculum]
batch_size = 2
[[curriculum.stages]]
name = "one"
objective = "steps"
epochs = 2
learning_rate = 1e-3
"""


def command(tmp_path, base, text, *options):
    (tmp_path / "mine.toml").write_text(text)
    given = ["--config", str(tmp_path / "mine.toml"), "--model", str(base), "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main(["train", *given, "--threads", "1", *options])
    return ended.value.code or 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            '[[data]]\npath = "nope.jsonl"',
            "mine.toml: data[0].path names {}/nope.jsonl, and there is no such file",
        ),
        ('[[data]]\npath = "mine.toml"\n[eval]\npath = "no.jsonl"', "mine.toml: eval.path names {}/no.jsonl, and"),
        ("", "mine.toml has no data of its own. Pass --data FILE, or write [[data]] into a recipe."),
    ],
)
def test_a_missing_file_of_a_recipe_is_named_with_its_key(base, tmp_path, capsys, more, words):
    assert command(tmp_path, base, RECIPE + more) == 2
    assert " ".join(words.format(tmp_path).split()) in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_epochs_in_a_recipe_and_on_the_command_line(base, tmp_path, capsys):
    data = ("--data", str(base / "rows.jsonl"))
    assert command(tmp_path, base, RECIPE, *data, "--json") == 0
    said = capsys.readouterr()
    assert "note: one: 5 steps = 2.0 epochs of 5 rows" in said.err
    assert "note: memory, on paper: at most " in said.err
    assert json.loads(said.out)["stages"][0]["steps"] == 5
    shutil.rmtree(tmp_path / "out")
    assert command(tmp_path, base, RECIPE, *data, "--json", "--epochs", "0.8") == 0
    assert json.loads(capsys.readouterr().out)["stages"][0]["steps"] == 2
    shutil.rmtree(tmp_path / "out")
    for given, words in (
        (("--epochs", "1", "--steps", "3"), "--steps and --epochs exclude each other"),
        (("--epochs", "0"), "epochs is 0.0, expected a number above 0"),
        (("--epochs", "nan"), "epochs is nan, expected a number above 0"),
        (("--seed", str(2**70)), "seed is"),
    ):
        assert command(tmp_path, base, RECIPE, *data, *given) == 2
        assert words in " ".join(capsys.readouterr().err.split())


def test_an_interrupt_before_training_is_said(base, tmp_path, monkeypatch, capsys):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "read_inputs", interrupted)
    assert command(tmp_path, base, RECIPE, "--data", str(base / "rows.jsonl")) == 130
    assert "note: interrupted: what was not saved is lost; if there is" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_puzzles_have_no_epochs(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--epochs", "2", "--output", str(tmp_path / "out")])
    assert "Puzzles are endless and have no epochs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_rows_whose_question_is_scored_are_left_out_and_counted(base, tmp_path):
    rows = [
        {"question": "Which one?", "options": ["x", "y"], "answer": "A"},
        {"question": "Which  ONE?", "options": ["y", "x"], "answer": "A"},
        {"question": "Which other one?", "options": ["x", "y"], "answer": "B"},
        {"question": "How many?", "answer": "12"},
    ]
    scored = [
        {"question": "which one?", "options": ["x", "y"], "answer": "A"},
        {"question": "How many", "answer": "1"},
    ]
    for name, given in (("rows", rows), ("test", scored)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    begun = []
    given = replace(
        job(base, tmp_path / "out"),
        data=(DataFile(tmp_path / "rows.jsonl"),),
        eval=EvalFile(tmp_path / "test.jsonl", 1),
        leaked_rows=LeakedRows.DROP,
        recipe=replace(job(base, tmp_path).recipe, curriculum=replace(CURRICULUM, stages=CURRICULUM.stages[:1])),
    )
    (report,) = run_job(given, Hearing(begin=begun.append)).data
    assert report.used == 1
    assert report.dropped == {
        "whose question is in test.jsonl": 2,  # the second one is beyond the rows that are scored
        "whose question is in test.jsonl with other options": 1,
    }
    assert (begun[0].held_out.trained_on, begun[0].held_out.reworded) == (0, 0)
    shutil.rmtree(tmp_path / "out")
    run_job(replace(given, leaked_rows=LeakedRows.KEEP), Hearing(begin=begun.append))
    assert (begun[1].held_out.trained_on, begun[1].held_out.reworded) == (1, 0)
    with pytest.raises(
        DataError, match=r"whose question is in rows\.jsonl\. Name other rows, or leave --drop-leaked out"
    ):
        run_job(replace(given, out=tmp_path / "other", eval=EvalFile(tmp_path / "rows.jsonl")))
    with pytest.raises(CurriculumError, match="Got --drop-leaked and nothing that is scored"):
        run_job(replace(given, out=tmp_path / "other", eval=None))
