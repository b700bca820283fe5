"""GPT-2, whose layers take their arguments in another order and have a dropout of their own."""

import json
from dataclasses import replace

import pytest

from rim_edge.recipe.inputs import EvalFile
from rim_edge.recipe.recipe import Trains
from tests.export.families import FAMILIES
from tests.train import runs


@pytest.fixture
def base(tmp_path):
    FAMILIES["gpt2"].build(tmp_path / "base")
    runs.write_rows(tmp_path / "base")
    row = {"question": "How many?", "steps": ["1 + 1"], "answer": "2"}
    (tmp_path / "dev.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path / "base"


@pytest.mark.parametrize("trains", [Trains.FULL, Trains.LORA])
def test_it_decodes_open_answers_and_goes_on_to_the_same_weights(base, tmp_path, trains):
    def job(name):
        quiet = tuple(replace(stage, dropout=0.0) for stage in runs.CURRICULUM.stages)
        made = runs.job(base, tmp_path / name, trains, eval=EvalFile(tmp_path / "dev.jsonl"))
        return replace(made, recipe=replace(made.recipe, curriculum=replace(runs.CURRICULUM, stages=quiet)))

    losses, _ = runs.losses_of(job("whole"))
    before = runs.interrupt(job("broken"), after=3)
    after, _ = runs.losses_of(replace(job("broken"), resume=True))
    assert before[:2] + after == losses
    assert runs.weights(tmp_path / "broken") == runs.weights(tmp_path / "whole")
