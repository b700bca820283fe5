"""Whole runs through the command: what they write, that they repeat, and what they refuse."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rim_export.checkpoint.prompt import RimSettings, derive_contract
from rim_export.errors import CheckpointError, CheckpointNotFoundError
from rim_runtime.errors import InputError, StorageError, TargetExistsError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from rim_edge.cli import main
from rim_edge.cli.train import train
from rim_edge.errors import CurriculumError, DataError
from rim_edge.model.checkpoint import write_checkpoint
from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.tokenizer import build_tokenizer
from tests.places import SHARED

DATA = SHARED
DEMO = Path(__file__).parent / "demo.toml"
"""The demo's recipe as a file of one's own, which may be given rows: `--preset demo` may not."""


@pytest.fixture(autouse=True)
def few_puzzles(monkeypatch):
    monkeypatch.setattr("rim_edge.evaluation.held_out.PUZZLES", 20)


ROWS = [
    {"question": "Which?", "options": ["x", "y"], "answer": "A"},
    {"question": "How many?", "steps": ["<<1+1=2>>", "<<2+2=4>>"], "answer": "4"},
]


def run(capsys, out, **options):
    """Train by the command with --json and return what it prints."""
    capsys.readouterr()
    train(
        out,
        **{"config": None if "preset" in options else DEMO, "threads": 1, "as_json": True, "steps": 3, **options},
    )
    printed = capsys.readouterr()
    assert not set("\x1b\r") & set(printed.err), "plain lines where there is no terminal"
    return json.loads(printed.out)


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


@pytest.fixture
def checkpoint(tmp_path, tiny_model):
    """A checkpoint as other tools leave it: no "rim" entry, no RiM tokens, too few rows for them."""
    tokenizer = build_tokenizer()
    folder = tmp_path / "base"
    tiny_model(vocabulary=1051).to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("<rim_", "<other_"))
    return folder


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused(checkpoint, tmp_path, capsys):
    """It can be read once, and a run identifies its data by reading them again."""
    os.mkfifo(tmp_path / "rows.jsonl")
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["train", "--model", str(checkpoint), "--data", str(tmp_path / "rows.jsonl"), "--output", str(out)])
    assert ended.value.code == 2
    assert "is a pipe, which can be read once, expected a file" in " ".join(capsys.readouterr().err.split())


def test_it_writes_a_plain_checkpoint_and_says_how_it_went(capsys, tmp_path):
    told = run(capsys, tmp_path / "new" / "out")
    assert told["schema_version"] == 1
    assert [stage["steps"] for stage in told["stages"]] == [1, 1, 1]
    assert len(told["accuracy_by_blocks"]) == 5
    folder = tmp_path / "new" / "out"
    assert told["checkpoint"] == str(folder)
    config = json.loads((folder / "config.json").read_text())
    assert RimSettings.from_config(config) == RimSettings(blocks=4)
    assert config["dtype"] == "bfloat16"
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in metrics] == ["warm-up", "stage 1", "stage 2"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_the_same_seed_gives_the_same_weights(capsys, tmp_path, rows):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(capsys, tmp_path / name, seed=seed, data=[rows])
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_the_saved_folder_gives_the_logits_of_the_trained_model(tmp_path, tiny_model):
    tokenizer, model = build_tokenizer(), tiny_model(vocabulary=1051)
    tmp_path.joinpath("x").mkdir()
    write_checkpoint(tmp_path / "x", model, tokenizer, RimSettings(blocks=4), torch.float32)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "x")
    again = AutoTokenizer.from_pretrained(tmp_path / "x")
    ids = torch.tensor([again.encode(fresh_puzzles(1, 1)[0].question)])
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, model(ids).logits)
    assert again.chat_template == tokenizer.chat_template


def test_a_model_and_rows_of_ones_own(capsys, tmp_path, rows, checkpoint):
    told = run(capsys, tmp_path / "out", preset="openmed", model=checkpoint, data=[rows], steps=2)
    assert told["accuracy_by_blocks"] is None
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["rim"]["blocks"] == 8
    assert config["dtype"] == "float16"
    assert config["vocab_size"] == 1054
    again = run(capsys, tmp_path / "again", preset="demo", model=tmp_path / "out", steps=3)
    assert len(again["accuracy_by_blocks"]) == 9, "the model's own blocks, not the preset's"


@pytest.mark.parametrize(
    ("arm", "objectives"),
    [("cot", ["text", "chain", "chain"]), ("curriculum-without-blocks", ["text", "fading", "direct"])],
)
def test_an_arm_is_trained_and_written_down(capsys, tmp_path, rows, arm, objectives):
    assert run(capsys, tmp_path / "out", data=[rows], arm=arm)["arm"] == arm
    told = json.loads((tmp_path / "out" / "training.json").read_text())
    assert told["arm"] == arm
    assert [stage["objective"] for stage in told["curriculum"]["stages"]] == objectives
    assert told["recipe"] == "demo"


def test_an_existing_target_is_refused_and_left_alone(capsys, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("mine")
    with pytest.raises(TargetExistsError, match="already exists, expected a new path"):
        run(capsys, tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"model": "none"}, CheckpointNotFoundError),
        ({"model": "."}, CheckpointError),
        ({"data": ["none.jsonl"]}, DataError),
        ({"data": ["rows.jsonl=2", "rows.jsonl"]}, DataError),
        ({"config": "none.toml"}, CurriculumError),
        ({"preset": "openmed"}, DataError),
        ({"preset": "openmed", "data": ["rows.jsonl"]}, CurriculumError),
        ({"preset": "none"}, InputError),
        ({"steps": 2}, CurriculumError),
    ],
)
def test_bad_input_is_refused_and_nothing_is_left(capsys, tmp_path, rows, options, error):
    options = dict(options)
    if "model" in options:
        options["model"] = tmp_path / options["model"]
    if "data" in options:
        options["data"] = [str(tmp_path / name) for name in options["data"]]
    if "config" in options:
        options |= {"preset": None, "config": tmp_path / options["config"]}
    with pytest.raises(error):
        run(capsys, tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_bad_rows_and_long_rows_are_told_counted_and_left_out(capsys, tmp_path, rows):
    path = tmp_path / "mixed.jsonl"
    long = {"question": "Why? " * 900, "answer": "4"}
    path.write_text(Path(rows).read_text() + "no row\n" + json.dumps(long) + "\n")
    data = [f"{path}=1", f"{rows}=2"]
    train(tmp_path / "out", config=DEMO, data=data, steps=3, threads=1, as_json=True, skip_bad=True)
    printed = capsys.readouterr()
    told = json.loads(printed.out)["data"]
    assert [(file["used"], file["skipped"]) for file in told] == [(2, 1), (2, 0)]
    assert told[0]["dropped"] == {"more than 2048 tokens": 1} or "positions" in str(told[0]["dropped"])
    said = printed.err.splitlines()
    assert said[0].startswith(f"note: mixed.jsonl: 1 bad rows skipped, the first: {path}, line 3: no JSON")
    assert said[1].startswith("note: mixed.jsonl: 1 of 3 rows left out, ")
    epochs = "5.3 epochs of mixed.jsonl (2 rows), 10.7 epochs of rows.jsonl (2 rows)"
    assert said[2] == f"note: warm-up: 1 steps = {epochs}", "a batch of 32, a third of it from the first file"
    assert json.loads((tmp_path / "out" / "training.json").read_text())["data"] == told


@pytest.mark.parametrize("given", [("--data",), ("--eval",), ("--data", "--eval")])
def test_rows_without_a_model_do_not_train_a_toy(tmp_path, rows, capsys, given):
    with pytest.raises(SystemExit, match="2"):
        main(
            [
                "train",
                "--steps",
                "3",
                "--output",
                str(tmp_path / "out"),
                *(word for name in given for word in (name, rows)),
            ]
        )
    words = " and ".join(given)
    assert f"Got {words} without --model: the preset 'demo' trains a toy from scratch" in capsys.readouterr().err
    assert [str(path) for path in tmp_path.iterdir()] == [rows]


def test_a_finished_run_that_is_resumed_is_left_alone(capsys, tmp_path):
    first = run(capsys, tmp_path / "out")
    before = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    assert run(capsys, tmp_path / "out", resume=True)["is_finished"]
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == before
    assert first["checkpoint"] == str(tmp_path / "out")
    with pytest.raises(TargetExistsError):
        run(capsys, tmp_path / "out", resume=True, seed=5)


REAL = """
[curriculum]
batch_size = 2
[[curriculum.stages]]
name = "stage 1"
objective = "steps"
steps = 2
learning_rate = 1e-3
[[curriculum.stages]]
name = "stage 2"
objective = "answer"
steps = 1
learning_rate = 1e-4
choice_weight = 2.0
[limits]
tokens = 900
[[data]]
path = "{data}/casimedicos/en_dev.jsonl.gz"
weight = 1
[[data]]
path = "{data}/gsm8k-aug/valid.txt.gz"
weight = 1
"""


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data and tokenizer are not at {DATA}")
def test_a_mixture_of_real_data_with_the_real_tokenizer(capsys, tmp_path):
    """The path of somebody who trains Qwen3-1.7B, on a model of its vocabulary that is small otherwise."""
    base, config = tmp_path / "base", tmp_path / "mine.toml"
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    made = Qwen3Config(**shape, vocab_size=151_936, head_dim=8, intermediate_size=8, tie_word_embeddings=True)
    Qwen3ForCausalLM(made).to(torch.bfloat16).save_pretrained(base)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DATA / "qwen3-tokenizer" / name, base)
    config.write_text(REAL.format(data=DATA))
    capsys.readouterr()
    train(tmp_path / "out", config=config, model=base, lora_rank=2, threads=1, as_json=True)
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    medical, grade_school = told["data"]
    assert medical["used"] + sum(medical["dropped"].values()) == 55
    assert medical["dropped"] == {"more than 900 tokens": 55 - medical["used"]}
    assert 0 < sum(medical["dropped"].values()) < 20
    assert f"{sum(medical['dropped'].values())} of 55 rows left out, more than 900 tokens" in printed.err
    assert (grade_school["used"], grade_school["dropped"]) == (500, {})
    contract = derive_contract(AutoTokenizer.from_pretrained(tmp_path / "out"), RimSettings())
    assert contract.block == (151_669, 151_670, 151_670, 151_671)
    summary = json.loads((tmp_path / "out" / "training.json").read_text())
    assert summary["lora"] == {"rank": 2, "scale": 1.0}
    assert summary["curriculum"]["stages"][1]["choice_weight"] == 2.0


FULL_DISK = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
from rim_edge.cli.train import train
from rim_runtime.errors import StorageError
try:
    train(Path(sys.argv[1]), config=Path(sys.argv[3]), data=[sys.argv[2]], steps=3, threads=1)
except StorageError as error:
    print(error)
"""


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, rows):
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "out"), rows, str(DEMO)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "could not be written" in done.stdout, done.stderr
    assert [str(path) for path in tmp_path.iterdir()] == [rows]
    assert issubclass(StorageError, OSError)
