"""Watching a run, through the command: lines, the live view, metrics, TensorBoard, scores and their picture."""

import json
import re
from io import StringIO
from xml.etree import ElementTree

import pytest
import torch
from rich.console import Console
from rim_export.checkpoint.prompt import RimSettings
from rim_runtime.errors import MissingExtraError
from rim_runtime.rows.row import read_row
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rim_edge import extras
from rim_edge.cli import main
from rim_edge.cli.show.training import training_view
from rim_edge.cli.train import train
from rim_edge.data.rows import example_of_row
from rim_edge.evaluation.checkpoint_answers import open_checkpoint
from rim_edge.evaluation.items import items_of
from rim_edge.evaluation.scores import stage_scores
from rim_edge.model.checkpoint import write_checkpoint
from rim_edge.puzzles.tokenizer import build_tokenizer
from rim_edge.recipe.curriculum import Curriculum, Extension, Stage
from rim_edge.recipe.inputs import parse_data_option
from rim_edge.recipe.switches import Objective
from rim_edge.recipe.toml import read_recipe
from rim_edge.training.callbacks import RunStart
from rim_edge.training.job import Job
from rim_edge.training.loop import Step
from rim_edge.training.run import run_job
from tests.train.answers import answers_read
from tests.train.hearing import Hearing

LETTERS = {"letters": "ABCDEFGHIJ"}
ROWS = [
    {"question": f"Why {n}?", "steps": ["A", "B"][: n % 3], "answer": "ABC"[n % 3], **LETTERS} for n in range(5)
]
HELD_OUT = [{"question": f"Why not {n}?", "answer": "ABBC"[n % 4], **LETTERS} for n in range(9)]
BLOCKS = 3
CONFIG = """
trains = "full"
{more}
[curriculum]
batch_size = 4
[[curriculum.stages]]
name = "stage 1"
objective = "steps"
steps = 11
learning_rate = 1e-3
[[curriculum.stages]]
name = "stage 2"
objective = "answer"
steps = 3
learning_rate = 1e-3
[resources]
micro_batch = 2
save_every = 2
"""


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    """A folder with a model, rows, rows to score and a recipe."""
    folder = tmp_path_factory.mktemp("base")
    rim = RimSettings(blocks=BLOCKS)
    write_checkpoint(folder / "model", tiny_model(vocabulary=1051), build_tokenizer(), rim, torch.float32)
    written(folder / "rows.jsonl", ROWS)
    written(folder / "test.jsonl", HELD_OUT)
    (folder / "mine.toml").write_text(CONFIG.format(more=""))
    return folder


def run(base, out, **options):
    given = {
        "config": base / "mine.toml",
        "model": base / "model",
        "data": [str(base / "rows.jsonl")],
        "threads": 1,
    }
    train(out, **given | options)


@pytest.fixture(scope="module")
def watched(base, tmp_path_factory):
    """A run with everything on, to be looked at."""
    folder = tmp_path_factory.mktemp("watched")
    run(base, folder / "out", eval_file=f"{base / 'test.jsonl'}=8", tensorboard=folder / "events")
    return folder


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_tell_tokens_and_pace(watched):
    rows = rows_of(watched / "out" / "metrics.jsonl")
    assert [(row["stage"], row["step"], row["done"]) for row in rows] == [
        ("stage 1", 1, 1),
        ("stage 1", 10, 10),
        ("stage 2", 1, 12),
    ]
    for row in rows:
        assert row["examples"] == 4
        assert row["tokens"] > 4 * 20
        assert 0 <= row["padding"] < row["tokens"]
        assert 0 < row["step_seconds"] <= row["seconds"]
        assert row["tokens_per_second"] == pytest.approx(row["tokens"] / row["step_seconds"], rel=0.5)
        assert row["grad_norm"] > 0
    assert rows[0]["recent_loss"] == rows[0]["loss"]
    assert len(rows[2]["nll"]) == BLOCKS


def test_the_scores_are_those_of_the_checkpoint(base, watched):
    """After the last stage; it is saved in fp32, so nothing is rounded in between."""
    told = json.loads((watched / "out" / "training.json").read_text())
    model, encoder = open_checkpoint(watched / "out")
    items = items_of([example_of_row(read_row(row), None, None) for row in HELD_OUT[:8]])
    last = told["scores"]["stages"][1]
    for blocks in range(BLOCKS + 1):
        read = answers_read(model, encoder, items, blocks)
        right = sum(found == item.answer for found, item in zip(read, items, strict=True))
        assert last["by_blocks"][str(blocks)]["right"] == right
        assert told["accuracy_by_blocks"][blocks] == right / 8
    assert told["scores"]["n"] == 8, "not all nine: FILE=8"
    assert told["scores"]["majority"]["right"] == 4
    assert [stage["stage"] for stage in told["scores"]["stages"]] == ["stage 1", "stage 2"]


def test_the_picture_shows_both_stages_and_what_to_beat(watched):
    text = (watched / "out" / "accuracy.svg").read_text()
    words = [element.text for element in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert {"after stage 1", "after stage 2", "most frequent answer, 50.0 %", "memory blocks"} <= set(words)
    assert "8 questions, test.jsonl; 95 % Wilson bands" in words
    assert "dc:date" not in text, "no time stamp"


def test_tensorboard_reads_what_was_written(watched):
    (folder,) = (watched / "events").iterdir()
    assert folder.name == "out"
    events = EventAccumulator(str(folder))
    events.Reload()
    metrics = rows_of(watched / "out" / "metrics.jsonl")
    first = [(event.step, event.value) for event in events.Scalars("loss/stage 1")]
    assert first == [(row["done"], pytest.approx(row["loss"])) for row in metrics[:2]]
    (place,) = events.Scalars("nll of stage 2/readout 3")
    assert (place.step, place.value) == (12, pytest.approx(metrics[2]["nll"][2]))
    assert [event.step for event in events.Scalars("run/learning rate")] == [1, 10, 12]
    norms = [event.value for event in events.Scalars("run/gradient norm")]
    assert norms == pytest.approx([row["grad_norm"] for row in metrics])
    accuracy = [(event.step, event.value) for event in events.Scalars("accuracy by blocks/stage 2")]
    told = json.loads((watched / "out" / "training.json").read_text())["accuracy_by_blocks"]
    assert accuracy == list(enumerate(map(pytest.approx, told)))


def test_elsewhere_than_on_a_terminal_there_are_ten_lines_and_the_table(base, tmp_path, capsys):
    run(base, tmp_path / "out", eval_file=str(base / "test.jsonl"))
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[:2] == [
        "note: stage 1: 11 steps = 8.8 epochs of 5 rows",
        "note: stage 2: 3 steps = 2.4 epochs of 5 rows",
    ]
    steps = [line for line in lines if "tokens/s" in line]
    assert len(steps) == 10
    pattern = (
        r"stage 1, step 6; 6 of 14 in all: loss \d+\.\d+, -log p( \d+\.\d\d)+ \(\d+\.\d{3} an answer token\), "
        r"[\d,]+ tokens/s, 0:00:\d\d left"
    )
    assert re.fullmatch(pattern, steps[3])
    scored = [line for line in lines if line.startswith("stage 1: right with 0, 1, … blocks, of 9 questions: ")]
    assert len(scored[0].split(": ")[2].split(", ")) == BLOCKS + 1
    assert "9 questions, test.jsonl: right, with 95 % Wilson intervals" in lines
    assert any(re.match(r"  3 blocks +\d+\.\d % +\d+\.\d to \d+\.\d %", line) for line in lines)
    assert lines[-2:] == [f"picture: {tmp_path / 'out' / 'accuracy.svg'}", f"checkpoint: {tmp_path / 'out'}"]


class InterruptedByTestError(Exception):
    """The power went."""


def test_a_resumed_run_keeps_what_stage_one_was_scored(base, watched, tmp_path):
    """Stopped in stage 2, it goes on with the scores of stage 1 from the saved state, and takes events back."""

    def stop(step):
        if step.done == 13:
            raise InterruptedByTestError

    (tmp_path / "mine.toml").write_text(CONFIG.format(more=f'eval = {{ path = "{base}/test.jsonl", rows = 8 }}'))
    events, data = tmp_path / "events", (parse_data_option(str(base / "rows.jsonl")),)
    recipe = read_recipe(tmp_path / "mine.toml")
    job = Job(recipe, tmp_path / "out", base / "model", data, threads=1, tensorboard=events)
    with pytest.raises(InterruptedByTestError):
        run_job(job, Hearing(step=stop))
    told = []
    run_job(Job(**{**vars(job), "resume": True}), Hearing(scored=told.append))
    assert [scores.stage for scores in told] == ["stage 2"], "stage 1 is not scored again"
    one, two = (json.loads((folder / "out" / "training.json").read_text()) for folder in (watched, tmp_path))
    assert two["resumed_at"] == 12
    assert two["scores"] == one["scores"]
    assert (tmp_path / "out" / "accuracy.svg").read_bytes() == (watched / "out" / "accuracy.svg").read_bytes()
    again = EventAccumulator(str(events / "out"))
    again.Reload()
    assert [event.step for event in again.Scalars("loss/stage 1")] == [1, 10]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no picture: not scored; pass --eval FILE, rows that are not trained on"),
        (
            {"arm": "no-blocks", "eval_file": "test"},
            "no picture: the arm no-blocks is trained and scored with 0 blocks",
        ),
        ({"arm": "cot", "eval_file": "test"}, "no picture: not scored, because the arm cot writes its steps"),
    ],
)
def test_where_there_is_no_picture_it_says_why(base, tmp_path, capsys, options, said):
    if "eval_file" in options:
        options = options | {"eval_file": str(base / "test.jsonl")}
    run(base, tmp_path / "out", steps=2, **options)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "accuracy.svg").exists()
    told = json.loads((tmp_path / "out" / "training.json").read_text())
    if "no-blocks" in said:
        assert [list(stage["by_blocks"]) for stage in told["scores"]["stages"]] == [["0"], ["0"]]
    else:
        assert told["scores"] is told["accuracy_by_blocks"] is None


def test_rows_that_are_trained_on_or_too_long_or_bad_are_told(base, tmp_path, capsys):
    long = {"question": "Why? " * 900, "answer": "4"}
    rows = [{"question": "Why  3?", "answer": "C", **LETTERS}, long, *HELD_OUT[:2]]
    file = written(tmp_path / "leak.jsonl", [*rows, {"no": "row"}])
    run(base, tmp_path / "out", steps=2, eval_file=str(file), skip_bad=True)
    said = capsys.readouterr().err
    assert f"note: leak.jsonl: 1 bad rows skipped, the first: {file}, line 5" in said
    assert "note: leak.jsonl: 1 of 4 rows are not scored, too long for the model's positions" in said
    assert "note: leak.jsonl: the questions of 1 of 3 rows are in the training data too" in said


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("none.jsonl", "There is no file"),
        ("test.jsonl=0", "eval.rows is 0, expected a whole number of at least 1"),
    ],
)
def test_a_bad_eval_file_is_refused_before_anything_is_trained(base, tmp_path, capsys, given, words):
    with pytest.raises(SystemExit, match="2"):
        options = ("--config", str(base / "mine.toml"), "--model", str(base / "model"))
        data = ("--data", str(base / "rows.jsonl"))
        main(["train", *options, *data, "--output", str(tmp_path / "out"), "--eval", str(base / given)])
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboard_the_command_says_what_to_install(base, tmp_path, monkeypatch):
    monkeypatch.setitem(extras.EXTRAS, "tensorboard", ("tensorboard_that_is_not_here",))
    with pytest.raises(MissingExtraError, match=re.escape('pip install "rim-edge[tensorboard]"')):
        run(base, tmp_path / "out", tensorboard=tmp_path / "events")
    assert list(tmp_path.iterdir()) == []


CURRICULUM = Curriculum(
    (
        Stage("warm-up", Objective.TEXT, 10, 1e-3, extension=Extension(0.5, at_most=30)),
        Stage("stage 1", Objective.STEPS, 20, 1e-3),
        Stage("stage 2", Objective.ANSWER, 10, 1e-3),
    )
)


def step(stage, number, done, nll):
    pace = {
        "examples": 4,
        "tokens": 900,
        "padding": 100,
        "tokens_per_second": 12_345.0,
        "micro_batch": 4,
        "step_seconds": 2.0,
    }
    return Step(stage, number, done, 1.0, 0.4321, nll, 0.25, 0.7, 5e-4, **pace, seconds=2.0 * done)


def frame(view, width):
    """Return what a terminal of this width would show now."""
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(view)
    return console.file.getvalue().splitlines()


@pytest.fixture
def terminal():
    return Console(file=StringIO(), width=80, force_terminal=True)


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_view_fits_and_says_where_the_run_stands(terminal, width):
    with training_view(terminal) as view:
        view.begin(RunStart((), None, CURRICULUM))
        view.step(step("warm-up", 12, 12, (3.0,)))
        view.step(step("stage 1", 1, 13, (2.0, 1.0)))
        view.step(step("stage 1", 2, 14, (1.0, 0.03, 0.5)))
        lines = frame(view, width)
        assert max(map(len, lines)) <= width
        assert re.fullmatch(r"✓ warm-up ━+ +12/12 +loss 0\.432 +0:00:02 *", lines[0]), "longer than it was to be"
        assert re.fullmatch(r"● stage 1 ━\S* *━* +2/20 +loss 0\.432 +0:00:04 *", lines[1])
        assert re.fullmatch(r"  all +━+\S* *━* +14/42 *", lines[3])
        assert lines[4].strip() == "12,345 tokens/s (10 % padding)   rate 5.00e-04   gradient 0.70   0:00:56 left"
        assert lines[5].strip() == "-log p by readout  1 1.50  2 0.52  3 0.50"
        assert lines[6].strip() == "-log p an answer token  0.25"
        view.scored(stage_scores("stage 1", (1, 97), 100))
        view.doing("scoring")
        assert "right 97.0 % of 100" in frame(view, width)[1]
        assert frame(view, width)[-1].split()[1:] == ["scoring"]
    assert len(frame(view, width)) == 3, "the stages stay, what is going on goes"


def test_many_readouts_take_two_lines_at_most_and_the_last_one_stays(terminal):
    with training_view(terminal) as view:
        view.begin(RunStart((), None, CURRICULUM))
        view.step(step("stage 1", 1, 11, tuple(float(place) for place in range(33))))
        shown = frame(view, 80)[5:]
        assert len(shown) <= 3
        assert re.search(r"\b33 32\.00", " ".join(shown))


def test_who_has_nothing_to_tell_shows_nothing(terminal):
    """As all processes of a run but the first."""
    with training_view(terminal):
        pass
    assert terminal.file.getvalue() == ""
