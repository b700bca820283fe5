"""QThink runs: they learn, resume byte for byte, write what export takes, and refuse what cannot be trained."""

import json
from dataclasses import replace

import pytest
import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.projection_head import read_projection_head
from rim_export.checkpoint.prompt import RimSettings
from safetensors.torch import load_file, save_file

from rim_edge.errors import CurriculumError, DataError
from rim_edge.model.checkpoint import read_checkpoint, write_checkpoint
from rim_edge.puzzles.tokenizer import build_tokenizer
from rim_edge.recipe.arms import Arm
from rim_edge.recipe.bounds import SettingError
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.inputs import DataFile
from rim_edge.recipe.latent import LatentTraining
from rim_edge.recipe.presets import GSM8K, QTHINK
from rim_edge.recipe.recipe import Lora, Recipe, Resources, Sharding, Trains
from rim_edge.recipe.switches import Objective, Supervision
from rim_edge.recipe.toml import read_recipe
from rim_edge.training.job import Job
from rim_edge.training.run import run_job
from tests.places import REPOSITORY
from tests.train.hearing import Hearing
from tests.train.rollouts.test_rollouts import Counted
from tests.train.runs import interrupt, weights

STAGE = Stage("latent", Objective.LATENT, 8, 1e-2, dropout=0.2)
LATENT = LatentTraining(steps=2, instruction="", supervision=Supervision.EVERY_STEP)


@pytest.fixture(scope="module")
def base(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write_checkpoint(folder, tiny_model(vocabulary=1051), build_tokenizer(), RimSettings(blocks=3), torch.float32)
    rows = [
        {"question": f"Why {n}?", "steps": ["A", "B"], "answer": "ABC"[n % 3], "letters": "ABCDEFGHIJ"}
        for n in range(6)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def rollouts(base, tmp_path_factory):
    from rim_edge.data.files import read_file
    from rim_edge.rollouts.plan import RolloutPlan
    from rim_edge.rollouts.write import open_writer, write_rollouts

    folder = tmp_path_factory.mktemp("rollouts") / "r"
    opened = open_writer(base, "cpu")
    examples = read_file(DataFile(base / "rows.jsonl")).examples[:5]  # the sixth has none
    write_rollouts(folder, RolloutPlan(opened.subject.sha256, examples, LATENT, None, 8), opened, Counted())
    return folder


def job(base, out, trains=Trains.LORA, latent=LATENT, **options):
    recipe = Recipe("test", Curriculum((STAGE,), batch_size=3), trains=trains, lora=Lora(rank=2), latent=latent)
    recipe = replace(recipe, resources=Resources(micro_batch=2, save_every=2))
    return Job(recipe, out, base, (DataFile(base / "rows.jsonl"),), **{"seed": 3, "threads": 1, **options})


def heard(given):
    steps, notes = [], []
    run_job(given, Hearing(step=steps.append, begin=lambda start: notes.extend(start.notes)))
    return steps, notes


@pytest.mark.parametrize("trains", list(Trains))
def test_a_run_that_was_interrupted_ends_in_the_same_bytes(base, rollouts, tmp_path, trains):
    whole, notes = heard(job(base, tmp_path / "whole", trains, rollouts=rollouts))
    assert any("1 of 6 rows have no teacher" in note for note in notes)
    assert len(whole) == 8 and all(len(step.nll) == 1 and len(step.distances) == 2 for step in whole)
    interrupt(job(base, tmp_path / "cut", trains, rollouts=rollouts), after=5)
    rest, _ = heard(job(base, tmp_path / "cut", trains, rollouts=rollouts, resume=True))
    assert [step.loss for step in rest] == [step.loss for step in whole[4:]]
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    heads = [(tmp_path / name / "projection_head.safetensors").read_bytes() for name in ("cut", "whole")]
    assert heads[0] == heads[1]


def test_text_and_distance_are_learned_and_only_what_learns_has_changed(base, rollouts, tmp_path):
    long = replace(job(base, tmp_path / "out", rollouts=rollouts), steps=60)
    steps, _ = heard(long)
    assert steps[-1].nll[0] < steps[0].nll[0] / 3
    assert all(last < first for first, last in zip(steps[0].distances, steps[-1].distances, strict=True))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "rim" not in config, "it has no blocks any more"
    assert config["latent"] == {
        "begin": [],
        "end": [],
        "head": "projection_head.safetensors",
        "instruction": "",
        "steps": 2,
    }
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "out"))
    assert before.keys() == after.keys()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if "_proj" not in name}, "the adapters' matrices alone"
    head = read_projection_head(tmp_path / "out" / "projection_head.safetensors", 32)
    assert head.norm is not None and head.first.weight.dtype is torch.float32


def test_a_run_goes_on_with_the_head_of_its_checkpoint(base, rollouts, tmp_path):
    run_job(job(base, tmp_path / "first", rollouts=rollouts))
    given = job(tmp_path / "first", tmp_path / "second", rollouts=rollouts)
    given = replace(given, data=(DataFile(base / "rows.jsonl"),), steps=1)
    run_job(
        replace(
            given,
            recipe=replace(
                given.recipe,
                curriculum=replace(given.recipe.curriculum, stages=(replace(STAGE, learning_rate=1e-9),)),
            ),
        )
    )
    first, second = (load_file(tmp_path / name / "projection_head.safetensors") for name in ("first", "second"))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=1e-6)


def test_without_latent_steps_it_is_a_plain_checkpoint(base, tmp_path):
    steps, _ = heard(job(base, tmp_path / "out", latent_steps=0))
    assert steps[-1].distances == ()
    assert not (tmp_path / "out" / "projection_head.safetensors").exists()
    assert "latent" not in json.loads((tmp_path / "out" / "config.json").read_text())
    assert Checkpoint.open(tmp_path / "out").latent is None


def test_what_cannot_be_trained_is_refused_before_a_model_is_loaded(base, rollouts, tmp_path):
    with pytest.raises(
        CurriculumError, match=r"learns latent steps from written rollouts.*--rollouts DIR.*gamma = 0"
    ):
        run_job(job(base, tmp_path / "out"))
    with pytest.raises(CurriculumError, match=r"control of RiM's stages.*--latent-steps 0"):
        run_job(job(base, tmp_path / "out", rollouts=rollouts, arm=Arm.NO_BLOCKS))
    with pytest.raises(CurriculumError, match="no stage that learns from rollouts"):
        run_job(Job(GSM8K, tmp_path / "out", base, (DataFile(base / "rows.jsonl"),), rollouts=rollouts))
    with pytest.raises(CurriculumError, match="latent_steps is 2, expected a recipe that trains latent steps"):
        Job(GSM8K, tmp_path / "out", base, latent_steps=2)
    with pytest.raises(DataError, match=r"2 states of 32 channels a question, expected 3 of 32"):
        run_job(job(base, tmp_path / "out", rollouts=rollouts, latent_steps=3))
    with pytest.raises(SettingError, match="latent in all of them or in none"):
        Curriculum((STAGE, Stage("two", Objective.ANSWER, 1, 1.0)))
    with pytest.raises(SettingError, match=r"resources\.recompute is true"):
        replace(QTHINK, resources=Resources(recompute=True))
    with pytest.raises(SettingError, match=r"resources\.sharding is layers"):
        replace(QTHINK, resources=Resources(sharding=Sharding.LAYERS))
    with pytest.raises(SettingError, match=r"latent\.answer is .*a line with \{answer\} once"):
        LatentTraining(answer="####")
    assert not (tmp_path / "out").exists()


def test_a_head_of_another_form_is_not_trained_on(base, rollouts, tmp_path):
    folder = tmp_path / "other"
    model, tokenizer = read_checkpoint(base)
    folder.mkdir()
    write_checkpoint(folder, model, tokenizer, None, torch.float32)
    parts = {"0": (48, 32), "2": (32, 48)}
    save_file(
        {f"mlp.{name}.weight": torch.zeros(shape) for name, shape in parts.items()}
        | {f"mlp.{name}.bias": torch.zeros(shape[0]) for name, shape in parts.items()},
        folder / "projection_head.safetensors",
    )
    (folder / "rows.jsonl").write_bytes((base / "rows.jsonl").read_bytes())
    with pytest.raises(Exception, match="is without a norm, expected QThink's"):
        run_job(job(folder, tmp_path / "out", rollouts=rollouts))


def test_the_preset_is_the_cards_and_the_examples_are_recipes():
    stage = QTHINK.curriculum.stages[0]
    assert (stage.epochs, stage.learning_rate, QTHINK.curriculum.batch_size) == (3.0, 2e-4, 128)
    assert (QTHINK.lora.rank, QTHINK.lora.scale * QTHINK.lora.rank, QTHINK.latent.target_tokens) == (32, 16, 128)
    assert (QTHINK.latent.steps, QTHINK.latent.gamma, QTHINK.latent.supervision) == (
        6,
        1.0,
        Supervision.FINAL_STEP,
    )
    for path in ("examples/qthink/demo.toml", "examples/smollm2/qthink.toml"):
        assert read_recipe(REPOSITORY / path).curriculum.is_latent
    assert (
        read_recipe(REPOSITORY / "examples/qthink/demo.toml").latent.answer
        == r"The final answer is \boxed{{answer}}"
    )
