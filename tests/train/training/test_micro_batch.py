"""Passes whose size the recipe leaves open: what fits on paper, and half of it whenever memory runs out."""

import json
from dataclasses import replace

import pytest
import torch

from rim_edge.errors import CurriculumError, OutOfMemoryError
from rim_edge.recipe.changes import Changes
from rim_edge.recipe.presets import GSM8K
from rim_edge.recipe.recipe import MicroBatch
from rim_edge.training import memory, prepare, run, step
from rim_edge.training.memory import Shape, fitting_micro_batch
from rim_edge.training.run import run_job
from tests.train.hearing import Hearing
from tests.train.runs import job, make_base, weights

QWEN3_1_7B = Shape(2048, 6144, 28, 2048, 1024, 128, 151_936, tied=True)
GIB = 2**30


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model):
    return make_base(tmp_path_factory.mktemp("base"), tiny_model)


def with_passes(given, micro_batch, batch_size=4):
    return replace(given, recipe=Changes(batch_size=batch_size, micro_batch=micro_batch).of(given.recipe))


def room_for(rows, monkeypatch):
    """Let a pass of more rows run out of memory, as a GPU reports it."""
    passed, made = [], step._pass

    def limited(setup, module, one, divisor, waiting):
        passed.append(len(one.samples))
        if len(one.samples) > rows:
            made(setup, module, one, divisor, waiting)  # gradients that must not stay
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return made(setup, module, one, divisor, waiting)

    monkeypatch.setattr(step, "_pass", limited)
    return passed


def test_half_as_many_until_they_fit_and_the_weights_are_those_of_passes_that_fit(base, tmp_path, monkeypatch):
    without_dropout = job(base, tmp_path / "out")
    stages = tuple(replace(stage, dropout=0.0) for stage in without_dropout.recipe.curriculum.stages)
    curriculum = replace(without_dropout.recipe.curriculum, stages=stages)
    given = replace(without_dropout, recipe=replace(without_dropout.recipe, curriculum=curriculum))
    run_job(with_passes(replace(given, out=tmp_path / "one"), 1))
    passed = room_for(1, monkeypatch)
    sizes = []
    run_job(with_passes(given, MicroBatch.AUTO), Hearing(step=lambda done: sizes.append(done.micro_batch)))
    assert passed == [4, 2, *20 * [1], 4, 2, *16 * [1]], "each stage begins with what fits on paper"
    assert set(sizes) == {1}
    assert weights(given.out) == weights(tmp_path / "one")


def test_a_number_is_kept_and_the_error_says_what_to_do(base, tmp_path, monkeypatch):
    room_for(1, monkeypatch)
    with pytest.raises(OutOfMemoryError, match=r"\[resources\] micro_batch = 1"):
        run_job(with_passes(job(base, tmp_path / "out"), 2))
    room_for(0, monkeypatch)
    with pytest.raises(OutOfMemoryError, match=r"a recipe with \[resources\] recompute = true"):
        run_job(replace(with_passes(job(base, tmp_path / "other"), MicroBatch.AUTO)))


@pytest.mark.parametrize(("gib", "rows"), [(24, 8), (80, 64), (8, 1)])
def test_what_fits_on_paper(gib, rows, monkeypatch):
    """gsm8k on a 1.7B model, whose preset takes passes of 4."""
    monkeypatch.setattr(memory, "device_memory", lambda device: gib * GIB)
    assert fitting_micro_batch(QWEN3_1_7B, GSM8K, None, torch.device("cuda")) == rows
    double = sum(memory.memory(QWEN3_1_7B, Changes(micro_batch=2 * rows).of(GSM8K)).values())
    assert double + 2e9 > gib * GIB


def test_an_unknown_memory_takes_the_whole_share(monkeypatch):
    monkeypatch.setattr(memory, "device_memory", lambda device: None)
    assert fitting_micro_batch(QWEN3_1_7B, GSM8K, None, torch.device("mps")) is None


def test_several_processes_want_a_number(base, tmp_path, monkeypatch):
    class Two(prepare.Processes):
        count = 2  # type: ignore[assignment]

    monkeypatch.setattr(run, "Processes", Two)
    with pytest.raises(CurriculumError, match="there are 2 processes, expected a number"):
        run_job(with_passes(job(base, tmp_path / "out"), MicroBatch.AUTO))


def test_states_are_saved_by_the_clock_too(base, tmp_path):
    given = job(base, tmp_path / "out", every=1_000)
    resources = replace(given.recipe.resources, save_minutes=1e-9)
    saved = []
    run_job(
        replace(given, recipe=replace(given.recipe, resources=resources)),
        Hearing(save=lambda state, weights: saved.append(state.done)),
    )
    assert saved == list(range(1, 10))
    resources = replace(given.recipe.resources, save_minutes=60)
    ends = []
    run_job(
        replace(given, out=tmp_path / "other", recipe=replace(given.recipe, resources=resources)),
        Hearing(save=lambda state, weights: ends.append(state.done)),
    )
    assert ends == [5, 9], "the ends of the stages alone"
    told = json.loads((tmp_path / "other" / "training.json").read_text())
    assert told["resources"]["save_minutes"] == 60
