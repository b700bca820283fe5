"""Recipes from TOML: what a file may say, and how it is told what it may not."""

from dataclasses import fields
from pathlib import Path

import pytest

from rim_edge.errors import CurriculumError
from rim_edge.recipe.arms import Arm
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.inputs import DataFile, StepForm
from rim_edge.recipe.presets import GSM8K, PRESETS
from rim_edge.recipe.recipe import Arithmetic, Lora, Trains
from rim_edge.recipe.switches import (
    Alignment,
    Anneal,
    BlockWeights,
    LastStep,
    Normalisation,
    Objective,
    Visibility,
)
from rim_edge.recipe.toml import read_recipe
from tests.places import REPOSITORY

WHOLE = """
trains = "lora"
[curriculum]
batch_size = 16
betas = [0.9, 0.95]
[[curriculum.stages]]
name = "one"
objective = "steps"
steps = 10
learning_rate = 1e-4
alignment = "same-step"
anneal = "linear"
last_step = "decay"
visibility = "blocks"
normalisation = "readouts"
extension = { loss = 0.5, at_most = 20 }
[[curriculum.stages]]
name = "two"
objective = "answer"
steps = 5
learning_rate = 1
dropout = 0.1
block_weights = "flat"
choice_weight = 2.0
[rim]
blocks = 3
memory_tokens = 1
[lora]
rank = 4
[limits]
tokens = 99
[resources]
micro_batch = 2
arithmetic = "bf16"
[[data]]
path = "rows.jsonl"
weight = 2
steps = "sentences"
"""


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_may_say_everything(tmp_path):
    recipe = read_recipe(written(tmp_path, WHOLE))
    one, two = recipe.curriculum.stages
    assert (recipe.name, recipe.trains, recipe.lora) == ("mine", Trains.LORA, Lora(rank=4))
    assert (recipe.rim.blocks, recipe.rim.memory_tokens, recipe.limits.tokens) == (3, 1, 99)
    assert (recipe.resources.micro_batch, recipe.resources.arithmetic) == (2, Arithmetic.BF16)
    assert (recipe.curriculum.batch_size, recipe.curriculum.betas) == (16, (0.9, 0.95))
    assert (one.alignment, one.anneal, one.last_step) == (Alignment.SAME_STEP, Anneal.LINEAR, LastStep.DECAY)
    assert (one.visibility, one.normalisation) == (Visibility.BLOCKS, Normalisation.READOUTS)
    assert one.extension.at_most == 20
    assert (two.objective, two.learning_rate, two.dropout) == (Objective.ANSWER, 1.0, 0.1)
    assert (two.block_weights, two.choice_weight) == (BlockWeights.FLAT, 2.0)
    assert recipe.data == (DataFile(tmp_path / "rows.jsonl", 2.0, StepForm.SENTENCES),)


def test_a_file_may_change_a_preset(tmp_path):
    recipe = read_recipe(written(tmp_path, 'preset = "gsm8k"\n[lora]\nrank = 8\n[curriculum]\nbatch_size = 4\n'))
    assert recipe.curriculum.stages == GSM8K.curriculum.stages
    assert (recipe.curriculum.batch_size, recipe.lora.rank, recipe.name) == (4, 8, "mine")


STAGE = '[[curriculum.stages]]\nname = "a"\nobjective = "steps"\nsteps = 1\nlearning_rate = 1.0\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("= 1", "is no TOML"),
        ("", "recipe lacks curriculum"),
        ('preset = "none"', "no preset 'none', expected one of: demo, openmed, gsm8k-aug, gsm8k"),
        ("preset = 3", "preset is 3, expected a name"),
        (
            'preset = "demo"\nscratch = 1',
            "recipe has the unknown keys ['scratch'], expected only: name, curriculum",
        ),
        ('preset = "demo"\ntrain = "lora"', "unknown keys ['train'], expected only"),
        ('preset = "demo"\ntrains = "some"', "recipe.trains is 'some', expected one of: lora, full, everything"),
        ('preset = "demo"\nrim = 3', "recipe.rim is 3, expected a table"),
        ('preset = "demo"\n[rim]\nblocks = 0', "rim.blocks is 0, expected a whole number of at least 1"),
        ('preset = "demo"\n[lora]\nrank = 8.5', "recipe.lora.rank is 8.5, expected a whole number"),
        ('preset = "demo"\n[lora]\nrank = 0', "lora: rank is 0, expected a whole number of at least 1"),
        ('preset = "demo"\n[lora]\nscale = true', "recipe.lora.scale is True, expected a number"),
        ('preset = "demo"\n[limits]\ntokens = 0', "limits: tokens is 0"),
        ('preset = "demo"\n[resources]\nmicro_batch = 0', "resources: micro_batch is 0"),
        ('preset = "demo"\n[resources]\nrecompute = 1', "recompute is 1, expected true or false"),
        ('preset = "demo"\n[curriculum]\nbetas = [0.9]', "recipe.curriculum.betas is [0.9], expected a list of 2"),
        ('preset = "demo"\n[curriculum]\nstages = 3', "recipe.curriculum.stages is 3, expected a list"),
        ('[[curriculum.stages]]\nname = "a"', "recipe.curriculum.stages[0] lacks objective, steps, learning_rate"),
        (STAGE + "lr = 3", "stages[0] has the unknown keys ['lr'], expected only: name, objective, steps"),
        (STAGE + 'anneal = "cosine"', "stages[0].anneal is 'cosine', expected one of: linear-relative, linear,"),
        (STAGE + "dropout = 2.0", "Stage 'a': dropout is 2.0, expected a number from 0 to below 1"),
        (STAGE + "name = 3", "is no TOML"),
        ('preset = "demo"\n[[data]]\nweight = 1', "recipe.data[0] lacks path"),
        ('preset = "demo"\n[[data]]\npath = 1', "recipe.data[0].path is 1, expected a path"),
    ],
)
def test_what_a_file_may_not_say(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(CurriculumError) as caught:
        read_recipe(path)
    assert words in str(caught.value)
    assert "preset '" in words or str(caught.value).startswith(str(path))


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(CurriculumError, match=r"none\.toml cannot be read"):
        read_recipe(tmp_path / "none.toml")


def test_the_presets_are_the_sources():
    """Stage 2 is K answers at a lower rate and a higher dropout; the anneal is relative; LoRA has rank 128."""
    for name in ("openmed", "gsm8k-aug", "gsm8k"):
        one, two = PRESETS[name].curriculum.stages
        assert (one.objective, two.objective) == (Objective.STEPS, Objective.ANSWER)
        assert (one.alignment, one.anneal, one.last_step) == (
            Alignment.NEXT_STEP,
            Anneal.LINEAR_RELATIVE,
            LastStep.KEEP,
        )
        assert two.learning_rate < one.learning_rate
        assert two.dropout > one.dropout
        assert two.block_weights is BlockWeights.RISING
        assert (PRESETS[name].rim.blocks, PRESETS[name].rim.memory_tokens) == (8, 2)
        assert PRESETS[name].curriculum.batch_size == 128
    assert PRESETS["gsm8k-aug"].lora.rank == 128
    assert PRESETS["gsm8k-aug"].trains is Trains.LORA
    assert PRESETS["openmed"].trains is Trains.FULL
    assert PRESETS["openmed"].curriculum.stages[1].choice_weight > 1


def test_ranks():
    assert GSM8K.with_rank(0).trains is Trains.FULL
    assert PRESETS["openmed"].with_rank(16).lora == Lora(rank=16)
    assert PRESETS["openmed"].with_rank(16).trains is Trains.LORA
    assert isinstance(DataFile(Path("x")).path, Path)


def test_the_documented_recipe_is_one_and_every_field_of_a_stage_is_documented(tmp_path):
    text = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
    recipe = read_recipe(written(tmp_path, text.split("```toml\n")[1].split("```")[0]))
    assert recipe.curriculum.stages == GSM8K.curriculum.stages
    assert [file.weight for file in recipe.data] == [3.0, 1.0]
    table = text.split("A stage's fields")[1].split("## ")[0]
    assert [field.name for field in fields(Stage) if f"`{field.name}`" not in table] == []
    switches = (Alignment, Anneal, BlockWeights, LastStep, Normalisation, Objective, Visibility)
    assert [value for switch in switches for value in switch if f"`{value}`" not in table] == []
    assert [arm for arm in Arm if f"| `{arm}` |" not in text] == []
