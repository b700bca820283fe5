"""Two processes give the losses of one: the batch is the same, and so is what it is divided by."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from rim_export.checkpoint.prompt import RimSettings
from safetensors.torch import load_file

from rim_edge.model.checkpoint import write_checkpoint
from rim_edge.puzzles.tokenizer import build_tokenizer
from rim_edge.recipe.inputs import DataFile, EvalFile
from rim_edge.recipe.toml import read_recipe
from rim_edge.training.job import Job
from rim_edge.training.run import run_job
from tests.train.hearing import Hearing

RUN = """
import json, sys
from pathlib import Path
from rim_edge.training.callbacks import Listener
from rim_edge.recipe.inputs import DataFile, EvalFile
from rim_edge.training.job import Job
from rim_edge.training.run import run_job
from rim_edge.recipe.toml import read_recipe
base, config, out = map(Path, sys.argv[1:4])
stop, told = int(sys.argv[4]), []
class Report(Listener):
    def step(self, step):
        told.append([step.loss, *(value or -1 for value in step.nll)])
        if len(told) == stop:
            print(json.dumps(told))
            sys.exit(7)
rows = base / "rows.jsonl"
job = Job(read_recipe(config), out, base, (DataFile(rows),), eval=EvalFile(rows, 5), threads=1, resume=True)
run_job(job, Report())
print(json.dumps(told or None))
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
SHARDED = (
    CONFIG
    + """prefetch = "on"
micro_batch = 1
sharding = "layers"
recompute = true
"""
)


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    """A model and rows of very different length, so that equal shares of rows are unequal shares of tokens."""
    folder = tmp_path_factory.mktemp("base")
    write_checkpoint(folder, tiny_model(vocabulary=1051), build_tokenizer(), RimSettings(blocks=3), torch.float32)
    rows = [
        {"question": f"Why {n}?", "steps": n * ["a longer step"], "answer": "word " * n + "so"} for n in range(5)
    ]
    rows.append({"question": "Which?", "options": ["x", "y"], "answer": "A"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def start(base, config, out, stop=0):
    """Run RUN in two processes, as `accelerate launch` or `torchrun` would start them; return what they print.

    With `stop`, the first one goes after so many steps, and the other one fails for want of it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, *map(str, (base, config, out, stop))],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    ended = [process.communicate(timeout=240) for process in started]
    codes = [process.returncode for process in started]
    assert codes == [0, 0] if not stop else (codes[0] == 7 and codes[1] != 0), ended
    return [json.loads(said) for said, _ in ended[: 1 if stop else 2]]


@pytest.fixture(scope="module")
def alone(base, tmp_path_factory):
    """What one process says and writes."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "mine.toml").write_text(CONFIG)
    losses, rows = [], base / "rows.jsonl"
    recipe, asked = read_recipe(folder / "mine.toml"), EvalFile(rows, 5)
    job = Job(recipe, folder / "out", base, (DataFile(rows),), eval=asked, threads=1)
    outcome = run_job(
        job, Hearing(step=lambda step: losses.append([step.loss, *(value or -1 for value in step.nll)]))
    )
    return losses, load_file(folder / "out" / "model.safetensors"), outcome.scores.to_json()


def _told(step):
    return [step.loss, *(value or -1 for value in step.nll)]


def check(losses, told, weights, folder):
    """Compare what two processes say and write with what one does."""
    assert len(losses) == len(told)
    for one, two in zip(losses, told, strict=True):
        assert two == pytest.approx(one, abs=1e-5, rel=1e-5)
    written = load_file(folder / "model.safetensors")
    assert written.keys() == weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(written[name], tensor, atol=1e-3, rtol=0)
    assert json.loads((folder / "training.json").read_text())["processes"] == 2
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mine.toml", "together"]


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(base, alone, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text(CONFIG + 'prefetch = "on"\n')
    losses, weights, scores = alone
    first, second = start(base, config, tmp_path / "together")
    assert second is None, "only the first one speaks"
    assert len(first) == 10
    check(losses, first, weights, tmp_path / "together")
    told = json.loads((tmp_path / "together" / "training.json").read_text())
    assert told["scores"] == scores, "each has answered some of the five"


@pytest.mark.slow
def test_two_processes_keep_the_best_weights_of_one_and_its_scores(base, tmp_path):
    config, rows = tmp_path / "mine.toml", base / "rows.jsonl"
    config.write_text(CONFIG + '[scoring]\nevery = 1\nkeep = "best"\n')
    asked = EvalFile(rows, 5)
    one = run_job(Job(read_recipe(config), tmp_path / "one", base, (DataFile(rows),), eval=asked, threads=1))
    assert one.best.done < 10, "others than the last are kept"
    start(base, config, tmp_path / "together")
    told = json.loads((tmp_path / "together" / "training.json").read_text())
    assert told["best"] == {"done": one.best.done, "right": one.best.right}
    assert told["scores"] == one.scores.to_json()
    kept, wanted = (load_file(tmp_path / name / "model.safetensors") for name in ("together", "one"))
    for name, tensor in wanted.items():
        torch.testing.assert_close(kept[name], tensor, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_so_do_two_that_share_each_layer_out_and_go_on_where_they_were_stopped(base, alone, tmp_path):
    """Stopped after step 5, they go on from step 3: a state is put together, and shared out again."""
    config = tmp_path / "mine.toml"
    config.write_text(SHARDED)
    losses, weights, _ = alone
    (begun,) = start(base, config, tmp_path / "together", stop=5)
    first, second = start(base, config, tmp_path / "together")
    assert second is None
    check(losses, begun[:3] + first, weights, tmp_path / "together")
