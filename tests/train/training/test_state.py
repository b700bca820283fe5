"""Interrupted runs: killed, failed, or out of disk, they go on from the last saved state to the same losses."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from rim_runtime.errors import TargetExistsError
from safetensors.torch import load_file

from rim_edge.errors import CurriculumError
from rim_edge.recipe.changes import Changes
from rim_edge.recipe.inputs import DataFile
from rim_edge.recipe.recipe import Trains
from rim_edge.recipe.toml import read_recipe
from rim_edge.training.job import Job
from rim_edge.training.run import run_job
from tests.train.runs import CURRICULUM, STEPS, interrupt, job, losses_of, make_base, weights


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    return make_base(tmp_path_factory.mktemp("base"), tiny_model)


@pytest.mark.parametrize("trains", list(Trains))
def test_from_anywhere_to_the_same_losses_and_weights(base, tmp_path, trains):
    whole, outcome = losses_of(job(base, tmp_path / "whole", trains))
    assert len(whole) == STEPS, "stage one is extended"
    assert outcome.resumed_at == 0
    for stopped in (1, 2, 5, 6, 8, 9):
        given = job(base, tmp_path / f"out-{stopped}", trains)
        begun = interrupt(given, stopped)
        assert not given.out.exists()
        rest, outcome = losses_of(replace(given, resume=True))
        # A step is told before its state is saved, so an interruption there goes back to the state before it.
        assert outcome.resumed_at == max(step for step in (0, 2, 4, 5, 6, 8) if step < stopped)
        assert begun[: outcome.resumed_at] + rest == whole
        assert weights(given.out) == weights(tmp_path / "whole")
        assert [stage.loss for stage in outcome.stages] == pytest.approx(
            [sum(whole[:5]) / 5, sum(whole[5:]) / 4], abs=1e-9
        )
        assert not given.out.with_name(f"{given.out.name}.progress").exists()


def test_metrics_go_on_where_they_were(base, tmp_path):
    given = job(base, tmp_path / "out")
    interrupt(given, 7)
    run_job(replace(given, resume=True))
    metrics = [json.loads(line) for line in (given.out / "metrics.jsonl").read_text().splitlines()]
    assert [(row["stage"], row["step"]) for row in metrics] == [("one", 1), ("two", 1)]
    told = json.loads((given.out / "training.json").read_text())
    assert told["resumed_at"] == 6


def test_a_run_that_was_interrupted_is_not_overwritten_by_accident(base, tmp_path):
    given = job(base, tmp_path / "out")
    interrupt(given, 5)
    with pytest.raises(TargetExistsError, match=r"step-00000004 is a saved state .* Pass --resume to go on"):
        run_job(given)
    for other, name in (
        (replace(given, seed=4), "seed"),
        (replace(given, recipe=replace(given.recipe, curriculum=replace(CURRICULUM, batch_size=3))), "curriculum"),
        (replace(given, recipe=Changes(lora_rank=3).of(given.recipe)), "trains"),
    ):
        with pytest.raises(CurriculumError, match=f"saved by a run with another {name}"):
            run_job(replace(other, resume=True))
    assert sorted(path.name for path in (tmp_path / "out.progress").iterdir()) == [
        "metrics.jsonl",
        "step-00000004",
    ]
    run_job(replace(given, resume=True))


def test_resuming_what_never_began_begins(base, tmp_path):
    losses, outcome = losses_of(job(base, tmp_path / "out", resume=True))
    assert (len(losses), outcome.resumed_at) == (STEPS, 0)


CONFIG = """
trains = "full"
[resources]
save_every = 3
[curriculum]
batch_size = 2
[[curriculum.stages]]
name = "one"
objective = "steps"
steps = {steps}
learning_rate = 1e-3
dropout = 0.1
"""


def command(base, config, out):
    return [
        *(sys.executable, "-m", "rim_edge", "train", "--config", str(config), "--model", str(base)),
        *("--data", str(base / "rows.jsonl"), "--output", str(out), "--threads", "1", "--resume", "--json"),
    ]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_it_goes_on(base, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text(CONFIG.format(steps=60))
    process = subprocess.Popen(command(base, config, tmp_path / "out"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out.progress/step-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL, "it was done before it could be killed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml", "out.progress"], "nothing is hidden"
    done = subprocess.run(
        command(base, config, tmp_path / "out"), capture_output=True, text=True, check=True, timeout=300
    )
    told = json.loads(done.stdout)
    assert told["resumed_at"] > 0
    assert told["stages"][0]["steps"] == 60
    run_job(Job(read_recipe(config), tmp_path / "whole", base, (DataFile(base / "rows.jsonl"),), threads=1))
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")


FULL_DISK = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path
from rim_edge.training.callbacks import Listener
from rim_edge.recipe.inputs import DataFile
from rim_edge.training.job import Job
from rim_edge.training.run import run_job
from rim_edge.recipe.toml import read_recipe
from rim_runtime.errors import StorageError
base, config, out = map(Path, sys.argv[1:])
job = Job(read_recipe(config), out, base, (DataFile(base / "rows.jsonl"),), threads=1)
class Report(Listener):
    def step(self, step):
        if step.step == 4:  # the first state is saved after step 3; from here on the disk takes 20 kB a file
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    run_job(job, Report())
except StorageError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(sorted(path.name for path in out.with_name("out.progress").iterdir()))
print(run_job(replace(job, resume=True)).resumed_at)
"""


def test_a_full_disk_costs_no_more_than_the_steps_since(base, tmp_path):
    pytest.importorskip("resource")
    config = tmp_path / "mine.toml"
    config.write_text(CONFIG.format(steps=7))
    arguments = [str(base), str(config), str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    said = done.stdout.splitlines()
    assert said[0].startswith("The weights could not be written"), done.stdout + done.stderr
    assert said[1:] == ["['metrics.jsonl', 'step-00000003']", "3"], done.stderr
    assert load_file(tmp_path / "out" / "model.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml", "out"]
