"""Rollouts: the states are the model's own, means are over what they say, a run that was stopped goes on."""

import json
from dataclasses import replace

import pytest
import torch
from rim_export.checkpoint.prompt import RimSettings, template_ids
from rim_runtime.errors import TargetExistsError
from safetensors.torch import load_file

from rim_edge.data.rows import Example
from rim_edge.errors import DataError
from rim_edge.evaluation.way import Draws
from rim_edge.methods.qthink.teachers import ROLLOUTS, RUN, TEACHERS, question_key, read_teachers
from rim_edge.model.checkpoint import read_checkpoint, write_checkpoint
from rim_edge.puzzles.tokenizer import build_tokenizer
from rim_edge.recipe.latent import LatentTraining
from rim_edge.recipe.switches import Teacher
from rim_edge.rollouts.plan import RolloutPlan
from rim_edge.rollouts.write import open_writer, write_rollouts

LATENT = LatentTraining(steps=3, instruction="")
EXAMPLES = tuple(
    Example(f"You start in {letter} and walk through one door.", ("A", "B", "C"), letter) for letter in "ABCDE"
)


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write_checkpoint(folder, tiny_model(vocabulary=1051), build_tokenizer(), RimSettings(), torch.float32)
    return folder


@pytest.fixture(scope="module")
def opened(folder):
    return open_writer(folder, "cpu")


class Counted:
    """What was said to be done, by name."""

    def __init__(self):
        self.done = {}

    def __call__(self, name, total):
        self.name = name
        return self

    def __enter__(self):
        return lambda more: self.done.__setitem__(self.name, self.done.get(self.name, 0) + more)

    def __exit__(self, *error):
        return None


def plan(opened, examples=EXAMPLES, draws=None, latent=LATENT):
    return RolloutPlan(opened.subject.sha256, examples, latent, draws, max_tokens=12)


def test_states_of_own_steps_are_the_models_at_evenly_spaced_tokens(opened, folder, tmp_path):
    result = write_rollouts(tmp_path / "r", plan(opened), opened, Counted())
    assert (result.questions, result.rollouts, result.right, result.with_right) == (5, 5, 5, 5)
    lines = [json.loads(line) for line in (tmp_path / "r" / ROLLOUTS).read_text().splitlines()]
    assert lines[1]["text"] == "A\nB\nC\n#### B" and lines[1]["right"] is True
    model, tokenizer = read_checkpoint(folder)
    prompt = template_ids(tokenizer, EXAMPLES[1].question)
    thought = tokenizer.encode("A\nB\nC\n", add_special_tokens=False)
    assert len(thought) % 3 == 0, "the states stand at whole tokens"
    hidden = model(
        torch.tensor([[*prompt, *tokenizer.encode(lines[1]["text"], add_special_tokens=False)]]),
        output_hidden_states=True,
    ).hidden_states[-1][0]
    each = len(thought) // 3
    expected = hidden[[len(prompt) + each * step - 1 for step in (1, 2, 3)]]
    tensors = load_file(tmp_path / "r" / TEACHERS)
    torch.testing.assert_close(tensors["right"][1], expected, rtol=1e-5, atol=1e-5)
    assert tensors["count"].tolist() == tensors["right_count"].tolist() == [1] * 5
    taught = read_teachers(tmp_path / "r", LATENT, 32).of(EXAMPLES[1].question)
    torch.testing.assert_close(taught, tensors["right"][1])


def test_drawn_texts_repeat_with_the_seed_and_means_are_over_the_right_ones_or_all(opened, tmp_path):
    asked = plan(opened, draws=Draws(4, 1.0, seed=3))
    write_rollouts(tmp_path / "r", asked, opened, Counted())
    write_rollouts(tmp_path / "again", asked, opened, Counted())
    write_rollouts(tmp_path / "other", replace(asked, draws=Draws(4, 1.0, seed=4)), opened, Counted())
    texts = [(tmp_path / name / ROLLOUTS).read_text() for name in ("r", "again", "other")]
    assert texts[0] == texts[1] != texts[2]
    lines = [json.loads(line) for line in texts[0].splitlines()]
    tensors = load_file(tmp_path / "r" / TEACHERS)
    assert tensors["count"].tolist() == [4] * 5
    by_question = [sum(line["right"] for line in lines[4 * at : 4 * at + 4]) for at in range(5)]
    assert tensors["right_count"].tolist() == by_question
    all_taught = read_teachers(tmp_path / "r", replace(LATENT, teacher=Teacher.ALL), 32)
    right_taught = read_teachers(tmp_path / "r", LATENT, 32)
    for example, right in zip(EXAMPLES, by_question, strict=True):
        assert all_taught.of(example.question) is not None
        assert (right_taught.of(example.question) is not None) == bool(right)


def test_a_mean_is_the_mean_of_its_rollouts(opened, tmp_path):
    asked = plan(opened, EXAMPLES[:1], Draws(3, 1.0))
    write_rollouts(tmp_path / "r", asked, opened, Counted())
    lines = (tmp_path / "r" / ROLLOUTS).read_text().splitlines()
    alone = []
    for number in range(3):
        from rim_edge.rollouts.states import teacher_states
        from rim_edge.rollouts.texts import Rollout

        one = Rollout(**json.loads(lines[number]))
        alone.append(teacher_states(asked, opened, [one], lambda more: None)["all"][0])
    whole = load_file(tmp_path / "r" / TEACHERS)["all"][0]
    torch.testing.assert_close(whole, sum(alone) / 3, rtol=1e-5, atol=1e-5)


def test_a_run_that_was_killed_goes_on_with_whole_questions(opened, tmp_path):
    asked, target = plan(opened, draws=Draws(4, 1.0)), tmp_path / "r"
    write_rollouts(target, asked, opened, Counted())
    whole = (target / ROLLOUTS).read_text()
    lines = whole.splitlines(keepends=True)
    (target / ROLLOUTS).write_text("".join(lines[:9]) + lines[9][:20])  # killed within the third question
    (target / TEACHERS).unlink()
    counted = Counted()
    write_rollouts(target, asked, opened, counted)
    assert counted.done == {"writing rollouts": 12, "reading states": 20}
    assert (target / ROLLOUTS).read_text().splitlines()[:8] == whole.splitlines()[:8]
    assert len((target / ROLLOUTS).read_text().splitlines()) == 20
    counted = Counted()
    write_rollouts(target, replace(asked, latent=replace(LATENT, steps=2)), opened, counted)
    assert counted.done == {"reading states": 20}, "other states of the same texts"
    assert load_file(target / TEACHERS)["all"].shape == (5, 2, 32)


def test_a_folder_of_another_run_is_refused_and_kept(opened, tmp_path):
    asked, target = plan(opened), tmp_path / "r"
    write_rollouts(target, asked, opened, Counted())
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    for other in (
        replace(asked, examples=EXAMPLES[:2]),
        replace(asked, draws=Draws(2)),
        plan(opened, latent=LatentTraining(3)),
        plan(opened, latent=replace(LATENT, answer="So it is {answer}.")),
    ):
        with pytest.raises(TargetExistsError, match="something else than rollouts of this very run"):
            write_rollouts(target, other, opened, Counted())
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    (target / RUN).write_text("{")
    with pytest.raises(TargetExistsError, match="something else than rollouts of this very run"):
        write_rollouts(target, asked, opened, Counted())


def test_texts_are_read_back_as_they_were_written(opened, tmp_path):
    told = tuple(Example(f"Why {sign}?", (f"one{sign}two",), "é") for sign in ("\u2028", "\x85", "\u2029", "é"))
    asked, target = plan(opened, told, latent=replace(LATENT, answer="é {answer}")), tmp_path / "r"
    write_rollouts(target, asked, opened, Counted())
    whole = (target / ROLLOUTS).read_bytes()
    (target / TEACHERS).unlink()
    counted = Counted()
    write_rollouts(target, asked, opened, counted)
    assert counted.done.get("writing rollouts", 0) == 0
    cut = whole.rindex("é".encode()) + 1  # killed within a character
    (target / ROLLOUTS).write_bytes(whole[:cut])
    write_rollouts(target, asked, opened, Counted())
    assert (target / ROLLOUTS).read_bytes() == whole


def test_equal_questions_have_rollouts_once(opened, tmp_path):
    result = write_rollouts(tmp_path / "r", plan(opened, EXAMPLES[:2] + EXAMPLES[:1]), opened, Counted())
    assert result.questions == 2
    assert len(read_teachers(tmp_path / "r", LATENT, 32).states) == 2


def test_states_of_another_number_or_width_are_refused(opened, tmp_path):
    write_rollouts(tmp_path / "r", plan(opened), opened, Counted())
    with pytest.raises(
        DataError, match=r"3 states of 32 channels a question, expected 6 of 32\. Pass --latent-steps 6"
    ):
        read_teachers(tmp_path / "r", LatentTraining(), 32)
    with pytest.raises(DataError, match="expected 3 of 64"):
        read_teachers(tmp_path / "r", LATENT, 64)
    with pytest.raises(DataError, match=r"holds no teacher's states .* rim-edge rollouts"):
        read_teachers(tmp_path / "none", LATENT, 32)
    (tmp_path / "r" / TEACHERS).write_bytes(b"no tensors")
    with pytest.raises(DataError, match="holds no teacher's states"):
        read_teachers(tmp_path / "r", LATENT, 32)


def test_keys_tell_questions_apart():
    assert question_key("Why?") != question_key("Why ?")
