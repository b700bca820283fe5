"""Recipes from TOML: what a file may say, and how it is told what it may not."""

from dataclasses import fields
from pathlib import Path

import pytest

from rim_edge.errors import CurriculumError
from rim_edge.recipe.arms import Arm
from rim_edge.recipe.changes import Changes
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.inputs import DataFile, StepForm
from rim_edge.recipe.presets import GSM8K, PRESETS
from rim_edge.recipe.recipe import Arithmetic, Lora, Prefetch, Resources, Trains
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
[[curriculum.stages]]
name = "two"
objective = "answer"
steps = 5
extension = { loss = 0.5, at_most = 20 }
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
prefetch = "on"
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
    assert recipe.resources == Resources(2, Arithmetic.BF16, prefetch=Prefetch.ON)
    assert (recipe.curriculum.batch_size, recipe.curriculum.betas) == (16, (0.9, 0.95))
    assert (one.alignment, one.anneal, one.last_step) == (Alignment.SAME_STEP, Anneal.LINEAR, LastStep.DECAY)
    assert (one.visibility, one.normalisation) == (Visibility.BLOCKS, Normalisation.READOUTS)
    assert two.extension.at_most == 20
    assert (two.objective, two.learning_rate, two.dropout) == (Objective.ANSWER, 1.0, 0.1)
    assert (two.block_weights, two.choice_weight) == (BlockWeights.FLAT, 2.0)
    assert recipe.data == (DataFile(tmp_path / "rows.jsonl", 2.0, StepForm.SENTENCES),)


def test_a_file_may_change_a_preset(tmp_path):
    recipe = read_recipe(written(tmp_path, 'preset = "gsm8k"\n[lora]\nrank = 8\n[curriculum]\nbatch_size = 4\n'))
    assert recipe.curriculum.stages == GSM8K.curriculum.stages
    assert (recipe.curriculum.batch_size, recipe.lora.rank, recipe.name) == (4, 8, "mine")


EPOCHS = '[[curriculum.stages]]\nname = "a"\nobjective = "steps"\nlearning_rate = 1.0\n'
STAGE = '[[curriculum.stages]]\nname = "a"\nobjective = "steps"\nsteps = 1\nlearning_rate = 1.0\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("= 1", "is no TOML"),
        ("", "there is neither a preset nor a curriculum, expected one: preset = "),
        ('trains = "full"', "(or demo, openmed, gsm8k-aug, qthink)"),
        ('preset = "none"', "no preset 'none', expected one of: demo, openmed, gsm8k-aug, gsm8k"),
        ("preset = 3", "preset is 3, expected one of: demo, openmed"),
        (
            'presett = "demo"',
            "there is the unknown key 'presett', did you mean preset? Expected only: preset, name, ",
        ),
        ("", "[[curriculum.stages]]"),
        ('preset = "demo"\nscratch = 1', "there is the unknown key 'scratch', expected only: preset, name, "),
        ('preset = "demo"\nfile = "x"', "there is the unknown key 'file', expected only"),
        ('preset = "demo"\ntrain = "lora"', "the unknown key 'train', did you mean trains?"),
        ('preset = "demo"\nbatch_size = 4', "'batch_size', it belongs into [curriculum]; expected only"),
        ('preset = "demo"\nlearning_rate = 4', "'learning_rate', it belongs into [[curriculum.stages]]"),
        ('preset = "demo"\ntrains = "some"', ": trains is 'some', expected one of: lora, full, everything"),
        ('preset = "demo"\ntrains = ["lora"]', ": trains is ['lora'], expected one of"),
        ('preset = "demo"\nname = "a\\u001b[2Jb"', "name is 'a\\x1b[2Jb', expected some text without control"),
        ('preset = "demo"\nrim = 3', ": rim is 3, expected a table"),
        ('preset = "demo"\n[rim]\nblocks = 0', "rim.blocks is 0, expected a whole number of at least 1"),
        ('preset = "demo"\n[rim]\nblocks = 99_999_999_999', "expected a whole number of at most 131,072"),
        (f'preset = "demo"\n[rim]\nblocks = 0x{"f" * 5_000}', "rim.blocks is a number of more than 30 digits"),
        ('preset = "demo"\n[rim]\nmemory_tokens = 99_999_999', "expected a whole number of at most 131,072"),
        ('preset = "demo"\n[rim]\nblocks = 50_000', "the blocks take 200,000 tokens, expected at most 131,072"),
        ('preset = "demo"\n[lora]\nrank = 8.5', ": lora.rank is 8.5, expected a whole number"),
        ('preset = "demo"\n[lora]\nrank = 0', ": lora.rank is 0, expected a whole number of at least 1"),
        ('preset = "demo"\n[lora]\nscale = true', ": lora.scale is True, expected a number"),
        ('preset = "demo"\n[lora]\nscale = nan', ": lora.scale is nan, expected a number above 0"),
        ('preset = "demo"\n[lora]\nscale = inf', ": lora.scale is inf, expected a number above 0"),
        ('preset = "demo"\n[limits]\ntokens = 0', ": limits.tokens is 0"),
        ('preset = "demo"\n[resources]\nmicro_batch = 0', ": resources.micro_batch is 0"),
        ('preset = "demo"\n[resources]\nprefetch = true', "prefetch is True, expected one of: auto, on, off"),
        ('preset = "demo"\n[resources]\nrecompute = 1', ": resources.recompute is 1, expected true or false"),
        (
            'preset = "demo"\n[curriculum]\nbatch_size = "four"',
            ": curriculum.batch_size is 'four', expected a whole",
        ),
        (
            'preset = "demo"\n[curriculum]\nbatch_size = -4',
            ": curriculum.batch_size is -4, expected a whole number",
        ),
        ('preset = "demo"\n[curriculum]\nbetas = [0.9]', ": curriculum.betas is [0.9], expected a list of 2"),
        (
            'preset = "demo"\n[curriculum]\nbetas = [0.9, nan]',
            ": curriculum.betas is nan, expected a number from 0",
        ),
        ('preset = "demo"\n[curriculum]\nstages = 3', ": curriculum.stages is 3, expected a list"),
        ('preset = "demo"\n[curriculum]\nstages = []', ": curriculum.stages is empty, expected at least one"),
        (
            '[[curriculum.stages]]\nname = "a"',
            "curriculum.stages[0] lacks objective, steps (or epochs), learning_rate",
        ),
        (STAGE + "lr = 3", "curriculum.stages[0] has the unknown key 'lr', expected only: name, objective, steps"),
        (STAGE + "dropuot = 3", "the unknown key 'dropuot', did you mean dropout? Expected only: name"),
        (STAGE + 'anneal = "cosine"', "stages[0].anneal is 'cosine', expected one of: linear-relative, linear,"),
        (STAGE + "dropout = 2.0", ": curriculum.stages[0].dropout is 2.0, expected a number from 0 to below 1"),
        (STAGE + "dropout = -inf", ": curriculum.stages[0].dropout is -inf, expected a number from 0"),
        (STAGE + "epochs = 2", ": curriculum.stages[0].steps is 1, expected either steps or epochs"),
        (EPOCHS + "epochs = 0", ": curriculum.stages[0].epochs is 0.0, expected a number above 0"),
        (EPOCHS + "epochs = inf", ": curriculum.stages[0].epochs is inf, expected a number above 0"),
        (STAGE + "extension = { loss = nan, at_most = 3 }", "stages[0].extension.loss is nan, expected a number"),
        (STAGE + "weight_decay = 2026-01-01", ".weight_decay is datetime.date(2026, 1, 1), expected a number"),
        (STAGE + "name = 3", "is no TOML"),
        ('preset = "demo"\n[[data]]\nweight = 1', ": data[0] lacks path"),
        ('preset = "demo"\n[[data]]\npath = 1', ": data[0].path is 1, expected a path"),
        ('preset = "demo"\n[[data]]\npath = ""', ": data[0].path is '', expected the path of a file"),
        (
            'preset = "demo"\n[[data]]\npath = "a\\u0000b"',
            "data[0].path is 'a\\x00b', expected the path of a file",
        ),
        (
            'preset = "demo"\n[[data]]\npath = "x"\nweight = nan',
            ": data[0].weight is nan, expected a number above 0",
        ),
        ('preset = "demo"\n[data]\npath = "x"', ": data is {'path': 'x'}, expected a list"),
        ('preset = "demo"\n[eval]\npath = "x"\nrows = 0', ": eval.rows is 0, expected a whole number"),
        # what Python's readers and numbers cannot take
        (f"a = {'9' * 5_000}", "is no TOML (Exceeds the limit"),
        (f"a = {'[' * 5_000}", "is nested too deep"),
        ("a = " + "{a=" * 5_000, "is nested too deep"),
        (f"[{'.'.join('a' * 5_000)}]", "the unknown key 'a'"),
        (
            f'preset = "demo"\n[lora]\nrank = 0x{"f" * 5_000}',
            "lora.rank is a number of thousands of digits, expected",
        ),
        (f'preset = "demo"\n[lora]\nscale = {"9" * 400}', "expected a number below 1e308"),
        (f'preset = "demo"\n[lora]\nrank = {"9" * 400}', "lora.rank is 999"),
        (
            'preset = "demo"\n[resources]\nsave_every = 3_000_000_000',
            "expected a whole number of at most 2,147,483,647",
        ),
        (STAGE.replace("steps = 1", f"steps = {'9' * 400}"), "stages[0].steps is 999"),
        (STAGE.replace("1.0", f"{'9' * 400}"), "stages[0].learning_rate is 999"),
        (f"{'k' * 500} = 1", "the unknown key 'kkk"),
    ],
)
def test_what_a_file_may_not_say(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(CurriculumError) as caught:
        read_recipe(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < len(str(path)) + 400


@pytest.mark.parametrize("seed", range(3))
def test_whatever_value_a_key_has_there_is_a_recipe_or_one_error(tmp_path, seed):
    """Every key of every table, with values of every kind."""
    kinds = [
        "nan",
        "-inf",
        "9" * 400,
        "-1",
        "0",
        "1e400",
        "true",
        '"x"',
        "[]",
        "[[]]",
        "{}",
        "07:32:00",
        "0xfff",
        '""',
    ]
    for place, line in enumerate(WHOLE.split("\n")):
        if " = " not in line:
            continue
        lines = WHOLE.split("\n")
        lines[place] = f"{line.split(' = ')[0]} = {kinds[(place + seed * 5) % len(kinds)]}"
        try:
            read_recipe(written(tmp_path, "\n".join(lines)))
        except CurriculumError as error:
            assert str(error).startswith(f"{tmp_path / 'mine.toml'}")


def test_a_byte_order_mark_means_nothing(tmp_path):
    assert read_recipe(written(tmp_path, '\ufeffpreset = "gsm8k"')).curriculum == GSM8K.curriculum


def test_a_stage_may_be_told_in_epochs(tmp_path):
    curriculum = read_recipe(written(tmp_path, EPOCHS + "epochs = 1.5\n")).curriculum
    assert curriculum.needs_rows
    assert [stage.steps for stage in curriculum.in_steps(rows=100).stages] == [2], (
        "1.5 × 100 rows in batches of 64"
    )


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(CurriculumError, match=r"There is no file .*none\.toml, expected a recipe in TOML"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(CurriculumError, match="is a folder, expected a recipe in TOML"):
        read_recipe(tmp_path)


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
    assert Changes(lora_rank=0).of(GSM8K).trains is Trains.FULL
    assert Changes(lora_rank=16).of(PRESETS["openmed"]).lora == Lora(rank=16)
    assert Changes(lora_rank=16).of(PRESETS["openmed"]).trains is Trains.LORA
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
