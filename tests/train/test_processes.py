"""Two processes give the losses of one: the batch is the same, and so is what it is divided by."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from rim_export.contract import RimSettings
from safetensors.torch import load_file

from rim_edge.demo.tokenizer import build_tokenizer
from rim_edge.train.audience import Audience
from rim_edge.train.checkpoint import write_checkpoint
from rim_edge.train.data_files import DataFile
from rim_edge.train.job import Job, run_job
from rim_edge.train.recipe_file import read_recipe

RUN = """
import json, sys
from pathlib import Path
from rim_edge.train.audience import Audience
from rim_edge.train.data_files import DataFile
from rim_edge.train.job import Job, run_job
from rim_edge.train.recipe_file import read_recipe
base, config, out = map(Path, sys.argv[1:])
told = []
outcome = run_job(
    Job(read_recipe(config), out, base, (DataFile(base / "rows.jsonl"),), threads=1),
    Audience(step=lambda step: told.append([step.loss, *step.nll])),
)
print(json.dumps(told if outcome else None))
"""
CONFIG = """
trains = "full"
[curriculum]
batch_size = 5
[[curriculum.stages]]
name = "one"
objective = "steps"
steps = 6
learning_rate = 1e-3
normalisation = "tokens"
[[curriculum.stages]]
name = "two"
objective = "answer"
steps = 4
learning_rate = 1e-3
choice_weight = 3.0
normalisation = "rows"
[resources]
save_every = 3
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    """A model and rows of very different length, so that equal shares of rows are unequal shares of tokens."""
    folder = tmp_path_factory.mktemp("base")
    write_checkpoint(folder, tiny_model(vocabulary=464), build_tokenizer(), RimSettings(blocks=3), torch.float32)
    rows = [
        {"question": f"Why {n}?", "steps": n * ["a longer step"], "answer": "word " * n + "B"} for n in range(5)
    ]
    rows.append({"question": "Which?", "options": ["x", "y"], "answer": "A"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def start(*arguments):
    """Run RUN in two processes, as `accelerate launch` or `torchrun` would start them; return what they print."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, *map(str, arguments)],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    ended = [process.communicate(timeout=240) for process in started]
    assert all(process.returncode == 0 for process in started), ended
    return [json.loads(out) for out, _ in ended]


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(base, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text(CONFIG)
    alone = []
    job = Job(read_recipe(config), tmp_path / "alone", base, (DataFile(base / "rows.jsonl"),), threads=1)
    run_job(job, Audience(step=lambda step: alone.append([step.loss, *step.nll])))
    first, second = start(base, config, tmp_path / "together")
    assert second is None, "only the first one speaks"
    assert len(first) == len(alone) == 10
    for one, two in zip(alone, first, strict=True):
        assert two == pytest.approx(one, abs=1e-5, rel=1e-5)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "together"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-3, rtol=0)
    told = json.loads((tmp_path / "together" / "training.json").read_text())
    assert told["processes"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "mine.toml", "together"]
