"""What a run would take: lengths, memory, three steps of each stage; and nothing is written."""

import json

import pytest

from rim_edge.cli import main
from tests.train.runs import make_base

CONFIG = """
trains = "lora"
[curriculum]
batch_size = 2
[[curriculum.stages]]
name = "one"
objective = "steps"
epochs = 40
learning_rate = 1e-3
[[curriculum.stages]]
name = "two"
objective = "answer"
steps = 30
learning_rate = 1e-3
[lora]
rank = 2
"""


@pytest.fixture
def command(tmp_path, tiny_model):
    base = make_base(tmp_path / "base", tiny_model)
    (tmp_path / "mine.toml").write_text(CONFIG)
    (tmp_path / "work").mkdir()
    given = ["--config", str(tmp_path / "mine.toml"), "--model", str(base), "--threads", "1"]
    return ["train", "--dry-run", *given, "--data", str(base / "rows.jsonl")]


def printed(capfd, *command):
    with pytest.raises(SystemExit) as ended:
        main(list(command))
    assert not ended.value.code
    return capfd.readouterr()


def test_in_json(command, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "work")
    found = json.loads(printed(capfd, *command, "--json", "--micro-batch", "auto").out)
    assert [(stage["name"], stage["steps"]) for stage in found["stages"]] == [("one", 100), ("two", 30)]
    for stage in found["stages"]:
        assert stage["seconds"] == pytest.approx(stage["steps"] * stage["step_seconds"])
        assert stage["tokens_per_second"] > 0
        assert stage["micro_batch"] == 2
    assert found["device"] == "cpu"
    assert found["peak_bytes"] > 1e7
    assert any("memory, on paper" in note for note in found["notes"])
    assert list((tmp_path / "work").iterdir()) == []


def test_in_words(command, capfd):
    told = printed(capfd, *command).err
    assert "note: one: 100 steps = 40.0 epochs of 5 rows" in told
    assert "nothing was written" in told
    assert "of it" in told


def test_blocks_that_leave_no_room_are_refused_before_anything_is_encoded(capfd, tmp_path):
    (tmp_path / "mine.toml").write_text('preset = "demo"\n[rim]\nblocks = 30_000\n')
    with pytest.raises(SystemExit) as ended:
        main(["train", "--dry-run", "--config", str(tmp_path / "mine.toml")])
    assert ended.value.code == 2
    assert "tokens with its 30,000 blocks, and the model has" in capfd.readouterr().err


def test_a_device_that_is_not_here(command, capfd):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--device", "cuda:7"])
    assert ended.value.code == 4
    assert "There is no device cuda:7 here, expected one of: cpu" in capfd.readouterr().err


def test_without_an_output_it_says_what_is_missing(capfd):
    with pytest.raises(SystemExit) as ended:
        main(["train"])
    assert ended.value.code == 2
    assert "--output DIR" in capfd.readouterr().err


def test_a_recipe_is_printed_alone(capfd):
    out = printed(capfd, "train", "--preset", "gsm8k", "--print-recipe", "--batch-size", "16").out
    assert "batch_size = 16" in out


@pytest.mark.parametrize(
    "words", [("--steps", "40"), ("--epochs", "2"), ("--arm", "cot"), ("--data", "rows.jsonl")]
)
def test_what_a_printed_recipe_would_leave_out_is_refused(capfd, words):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--preset", "gsm8k", "--print-recipe", *words])
    assert ended.value.code == 2
    assert f"--print-recipe and {words[0]} exclude each other" in " ".join(capfd.readouterr().err.split())
