"""Memory and disk on paper: against arithmetic by hand, and against what torch really takes on a CPU."""

import gc
from dataclasses import replace

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import Qwen3Config, Qwen3ForCausalLM

from rim_edge.data.rows import Example
from rim_edge.data.sources import RowSource
from rim_edge.methods.rim.method import Rim
from rim_edge.methods.rim.packing import packed_length
from rim_edge.model.trainable import add_adapters
from rim_edge.model.vocabulary import freeze_vocabulary
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.presets import GSM8K, GSM8K_AUG, OPENMED, QTHINK
from rim_edge.recipe.recipe import Arithmetic, Limits, Lora, Recipe, Resources, Sharding, Trains
from rim_edge.recipe.switches import Objective
from rim_edge.training import memory as memory_module
from rim_edge.training.loop import train
from rim_edge.training.memory import Shape, disk, memory, memory_notes, remedies
from rim_edge.training.step import TrainingSetup

QWEN3_1_7B = Shape(2048, 6144, 28, 2048, 1024, 128, 151_936, tied=True)
SMALL = Shape(8, 24, 2, 16, 8, 4, 100, tied=False)


def recipe(trains=Trains.FULL, batch=4, tokens=10, **resources):
    stages = (Stage("s", Objective.ANSWER, 1, 1e-3),)
    told = Recipe("test", Curriculum(stages, batch), trains=trains, lora=Lora(2), limits=Limits(tokens))
    return replace(told, resources=Resources(**resources))


def test_by_hand():
    """8 wide, 2 layers: q, o 8·16, k, v 8·8, three of 8·24, norms 2·8 + 2·4; 100 words in two matrices."""
    layer = 2 * 128 + 2 * 64 + 3 * 192 + 24
    body, words = 2 * layer + 8, 2 * 100 * 8
    learn = body + 3 * 8
    assert memory(SMALL, recipe(micro_batch=2)) == {
        "vocabulary, fp32": 4 * words,
        "layers, fp32": 4 * body,
        "gradients, fp32": 4 * learn,
        "AdamW's moments, fp32": 8 * learn,
        "activations within layers": 101 * 8 * 20 * 2.5,  # 2 rows of 10 tokens
        "mask": 5 * 2 * 100,
        "a chunk of logits": 16 * 20 * 100,
    }
    adapters = 2 * 2 * (2 * 24 + 2 * 16 + 3 * 32)
    lora = memory(SMALL, recipe(Trains.LORA, micro_batch=1, recompute=True, arithmetic=Arithmetic.BF16), longest=5)
    assert lora["gradients, fp32"] == 4 * (adapters + 24)
    assert lora["layers, fp32"] == 4 * (body + adapters)
    assert lora["bf16 copies of what learns"] == 2 * (adapters + 24)
    assert lora["activations between layers"] == 4 * 8 * 5 * 2
    assert lora["activations within layers"] == 1.5 * 96 * 8 * 5
    everything = memory(SMALL, recipe(Trains.EVERYTHING))
    assert everything["gradients, fp32"] == 4 * (body + words)
    assert everything["mask"] == 5 * 4 * 100, "without micro_batch all rows of the batch pass at once"
    shared = memory(SMALL, recipe(sharding=Sharding.LAYERS), processes=2)
    assert (shared["layers, fp32"], shared["mask"]) == (4 * body / 2, 5 * 2 * 100)


def test_the_disk_holds_two_states_or_one_and_the_checkpoint():
    learn = SMALL.learned(recipe())
    assert disk(SMALL, recipe(), checkpoint=1) == 2 * 12 * learn
    assert disk(SMALL, recipe(), checkpoint=10**9) == 12 * learn + 10**9


@pytest.mark.parametrize(
    ("preset", "processes", "gigabytes"),
    [(GSM8K, 1, 24), (GSM8K_AUG, 1, 24), (QTHINK, 1, 40), (OPENMED, 1, 80), (OPENMED, 8, 80)],
)
def test_a_preset_fits_the_machine_it_names(preset, processes, gigabytes):
    """On paper, with rows as long as its limit; 2 GB are left for the context and the allocator's gaps."""
    assert sum(memory(QWEN3_1_7B, preset, processes).values()) / 1e9 < gigabytes - 2
    without = replace(preset, resources=Resources())
    assert sum(memory(QWEN3_1_7B, without, processes).values()) / 1e9 > 10 * gigabytes / processes


WIDTH, LAYERS, VOCABULARY = 192, 3, 1051


@pytest.mark.parametrize(
    ("trains", "recompute"), [(Trains.FULL, False), (Trains.FULL, True), (Trains.LORA, False), (Trains.LORA, True)]
)
def test_the_paper_is_a_bound_that_is_not_far_from_what_torch_takes(encoder, trains, recompute):
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=6,
        num_key_value_heads=3,
        head_dim=32,
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
    examples = [Example(f"Why {n}? " + "Where and when? " * 18, ("a", "b"), "B") for n in range(2)]
    stage = Stage("s", Objective.ANSWER, 2, 1e-3, dropout=0.1)
    resources = Resources(micro_batch=4, recompute=recompute)
    told = Recipe("test", Curriculum((stage,), 4), trains=trains, lora=Lora(16), resources=resources)
    longest = max(
        packed_length(encoder.sample(example, stage), len(encoder.contract.block)) for example in examples
    )
    on_paper = memory(Shape.of(config.to_dict()), told, longest=longest, device="cpu")
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        model = Qwen3ForCausalLM(config)
        if trains is Trains.LORA:
            add_adapters(model, told.lora)
        freeze_vocabulary(model, [1, 2, 3])
        train(TrainingSetup(model, Rim(encoder, 0), RowSource(examples, 0), told.curriculum, resources))
    taken = peak(measured)
    ratio = sum(on_paper.values()) / taken
    assert 1 < ratio < 1.6, (taken, on_paper)


def peak(measured):
    """The most bytes that torch's allocator held at once; what was held before, and is freed now, is none."""
    held = most = 0
    for event in sorted(measured.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held = max(0, held + event.nbytes())
            most = max(most, held)
    return most


def test_what_is_said_before_training(monkeypatch):
    parts = {"layers, fp32": 6e9, "gradients, fp32": 5e9, "mask": 1e6}
    monkeypatch.setattr(memory_module, "device_memory", lambda device: 24 * 10**9)
    device = torch.device("cpu")
    (said,) = memory_notes(parts, device, Resources())
    assert said == (
        "memory, on paper: at most 11.0 GB of the 24.0 GB here (6.0 GB layers, fp32, 5.0 GB gradients, fp32, "
        "1.0 MB mask, …)"
    )
    monkeypatch.setattr(memory_module, "device_memory", lambda device: 10**9)
    _, advice = memory_notes(parts, device, Resources(micro_batch=8))
    assert advice.startswith("that is more than there is: a recipe with [resources] micro_batch = 4, [resou")
    monkeypatch.setattr(memory_module, "device_memory", lambda device: None)
    assert len(memory_notes(parts, device, Resources())) == 1


def test_what_is_done_already_is_not_proposed():
    assert remedies(Resources(micro_batch=1, recompute=True, sharding=Sharding.LAYERS)) == "[limits] fewer tokens"
