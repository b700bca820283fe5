"""A training stage, so many optimizer steps a request: `train_steps.py CASE.json THREADS TREE`.

It is the trainer of the source tree that PYTHONPATH names, TREE, through what all trees have had: student, rows,
loop. The answer to a request says what its steps trained on, the same in every tree: `tokens` of question, blocks
and all readouts, whether a tree computes them or not, and `examples`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from rim_export.checkpoint.prompt import derive_contract

import rim_edge
from rim_edge.data.files import read_file
from rim_edge.data.sources import ExampleSource
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.methods.rim.method import Rim
from rim_edge.model.cpu import keep_freed_memory
from rim_edge.model.trainable import load_trainable
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.inputs import BadRows, DataFile
from rim_edge.recipe.recipe import Arithmetic, Recipe, Resources, Trains
from rim_edge.recipe.switches import Alignment, Objective
from rim_edge.training.callbacks import Listener
from rim_edge.training.gather import gather
from rim_edge.training.loop import train
from rim_edge.training.step import TrainingSetup

ENDLESS = 1_000_000
SEED = 0


@dataclass
class Turns(Listener):
    """Lets a run go on for some steps a request, and answers."""

    run: TrainingSetup
    """What is trained."""
    again: ExampleSource
    """Gives the run's examples once more, to count them."""
    steps: int
    """Of a request."""
    answers: TextIO
    """Where answers go."""
    done: int = 0
    """Steps of the request that is being served."""
    began: float = 0.0
    """When it came."""

    def wait(self) -> None:
        """Wait for the next request; end the process when there is none."""
        if not sys.stdin.readline():
            sys.exit(0)
        self.done, self.began = 0, time.perf_counter()

    def step(self, _: object) -> None:
        """Count a step, and answer after the last one of a request."""
        self.done += 1
        if self.done == self.steps:
            self.say({"seconds": time.perf_counter() - self.began, "result": self._trained_on()})
            self.wait()

    def say(self, line: dict[str, Any]) -> None:
        """Send a line."""
        print(json.dumps(line), file=self.answers, flush=True)

    def _trained_on(self) -> dict[str, int]:
        stage, method = self.run.curriculum.stages[0], self.run.method
        examples = self.again.draw(self.steps * self.run.curriculum.batch_size, stage.objective)
        samples = [method.encoder.sample(example, stage) for example in examples]
        block = len(method.encoder.contract.block)
        readouts = sum(len(readout.ids) for sample in samples for readout in sample.readouts)
        trunks = sum(len(sample.prompt) + sample.blocks * block for sample in samples)
        return {"tokens": trunks + readouts, "examples": len(samples)}


def main() -> None:
    """Build the run, say that it is ready, train."""
    case, threads, tree = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2]), Path(sys.argv[3])
    found = Path(rim_edge.__file__).parents[1]
    if found != tree:
        raise SystemExit(f"rim_edge comes from {found}, expected {tree}.")
    answers = os.fdopen(os.dup(1), "w")  # libraries may print: what they say goes to standard error
    os.dup2(2, 1)
    torch.set_num_threads(threads)
    keep_freed_memory()
    turns = _turns(case, answers)
    turns.say({"torch": torch.__version__})
    turns.wait()
    while True:  # a stage that ends begins again
        train(turns.run, turns)


def _turns(case: dict[str, Any], answers: TextIO) -> Turns:
    stage = Stage(
        "measured",
        Objective(case["objective"]),
        steps=case["steps"] if case.get("whole_stage") else ENDLESS,
        learning_rate=1e-4,
        alignment=Alignment(case["alignment"]),
    )
    recipe = Recipe(
        name="measured",
        curriculum=Curriculum((stage,), batch_size=case["batch_size"]),
        trains=Trains(case["trains"]),
        resources=Resources(case["micro_batch"], Arithmetic(case.get("arithmetic", "fp32")), save_every=ENDLESS),
    )
    student = load_trainable(recipe, Path(case["checkpoint"]), SEED)
    contract = derive_contract(student.tokenizer, student.rim)
    method = Rim(ExampleEncoder(student.tokenizer, contract), student.padding)
    files = (read_file(DataFile(Path(case["rows"])), BadRows.SKIP),)
    positions = student.model.config.max_position_embeddings
    source, again = (gather(files, method, recipe, positions, SEED).source for _ in range(2))
    run = TrainingSetup(student.model, method, source, recipe.curriculum, recipe.resources, SEED)
    return Turns(run, again, case["steps"], answers)


if __name__ == "__main__":
    main()
