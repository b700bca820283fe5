"""What learns, what stays frozen to the byte, and that the saved folder is the model that was trained."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from rim_export.checkpoint.prompt import RIM_TOKENS, RimSettings, derive_contract
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from rim_edge.data.rows import Example
from rim_edge.data.sources import RowSource
from rim_edge.errors import CurriculumError
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.methods.rim.method import Rim
from rim_edge.model.trainable import add_adapters, load_trainable, set_dropout, write_trained
from rim_edge.puzzles.tokenizer import build_tokenizer
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.presets import DEMO
from rim_edge.recipe.recipe import Arithmetic, Lora, Recipe, Resources, Trains
from rim_edge.recipe.switches import Objective
from rim_edge.training.loop import train
from rim_edge.training.step import TrainingSetup
from tests.export.families import FAMILIES
from tests.places import SHARED
from tests.train.hearing import Hearing

DATA = SHARED
CURRICULUM = Curriculum(
    (
        Stage("stage 1", Objective.STEPS, 3, 1e-2, weight_decay=0.1),
        Stage("stage 2", Objective.ANSWER, 2, 1e-2, weight_decay=0.1, dropout=0.3),
    ),
    batch_size=2,
)
ROWS = [Example("How many?", ("1 + 1", "2 + 2"), "4"), Example("Which?\nA: x\nB: y", (), "B")]


def recipe(trains, **options):
    return Recipe("test", CURRICULUM, RimSettings(blocks=3), trains, Lora(rank=4, scale=2.0), **options)


@pytest.fixture
def base(tmp_path, tiny_model):
    """Write a checkpoint without RiM tokens in a dtype, its head tied or not."""

    def write(dtype=torch.float32, tied=True, vocabulary=1057):
        folder = tmp_path / "base"
        tiny_model(vocabulary=vocabulary, tied=tied).to(dtype).save_pretrained(folder)
        build_tokenizer().save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            text = (folder / name).read_text()
            (folder / name).write_text(text.replace("<rim_", "<other_"))
        return folder

    return write


def fitted(folder, trains, curriculum=CURRICULUM, resources=None):
    """Train a few steps from a checkpoint; return the student and its losses."""
    chosen = recipe(trains, resources=resources or Resources())
    student = load_trainable(chosen, folder, seed=1)
    encoder = ExampleEncoder(student.tokenizer, derive_contract(student.tokenizer, student.rim))
    method = Rim(encoder, student.padding)
    run = TrainingSetup(student.model, method, RowSource(ROWS, 1), curriculum, chosen.resources)
    losses = []
    train(run, Hearing(step=lambda step: losses.append(step.loss)))
    return student, losses


def trained(folder, trains):
    return fitted(folder, trains)[0]


def saved(student, folder):
    folder.mkdir()
    write_trained(folder, student)
    return folder


def rim_rows(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer.convert_tokens_to_ids(list(RIM_TOKENS))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("trains", [Trains.FULL, Trains.LORA])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_only_the_rim_rows_of_the_vocabulary_move_and_the_dtype_stays(base, tmp_path, trains, tied, dtype):
    source = base(dtype, tied)
    out = saved(trained(source, trains), tmp_path / "out")
    before, after = (load_file(folder / "model.safetensors") for folder in (source, out))
    assert set(after) == set(before)
    assert {tensor.dtype for tensor in after.values()} == {dtype}
    assert json.loads((out / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    rows = rim_rows(out)
    name = "model.embed_tokens.weight"
    moved = (before[name] != after[name]).any(-1).nonzero().flatten().tolist()
    assert moved == rows
    assert ("lm_head.weight" in before) is not tied
    if not tied:
        assert torch.equal(before["lm_head.weight"], after["lm_head.weight"])
    matrices = [key for key in before if key.endswith("_proj.weight")]
    assert all(not torch.equal(before[key], after[key]) for key in matrices)
    norms = [key for key in before if "norm" in key]
    assert any(not torch.equal(before[key], after[key]) for key in norms) is (trains is Trains.FULL)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("trains", list(Trains))
def test_the_saved_folder_gives_the_training_forwards_logits_over_all_columns(base, tmp_path, trains, tied):
    student = trained(base(tied=tied), trains)
    block = derive_contract(student.tokenizer, student.rim).block
    ids = torch.tensor([student.tokenizer.encode("Which?") + 3 * list(block) + student.tokenizer.encode("A")])
    with torch.no_grad():
        hidden = student.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        expected = student.model.get_output_embeddings()(hidden)
    out = saved(student, tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(out)
    assert loaded.config.tie_word_embeddings is tied
    with torch.no_grad():
        logits = loaded(ids).logits
    assert logits.shape == expected.shape == (1, ids.shape[1], 1057)
    torch.testing.assert_close(logits, expected, atol=2e-5, rtol=0)


def test_new_rows_start_near_the_mean_of_the_vocabulary_and_apart(base):
    source = base()
    student = load_trainable(recipe(Trains.FULL), source, seed=0)
    rows = student.model.get_input_embeddings().rows.weight.detach()
    matrix = load_file(source / "model.safetensors")["model.embed_tokens.weight"]
    mean, deviation = matrix[:1048].mean(0), matrix[:1048].std(0)
    assert ((rows - mean).abs() < 0.6 * deviation).all()
    assert not torch.equal(rows[0], rows[1])


def test_tokens_that_are_there_keep_their_embeddings(base, tmp_path):
    first = saved(trained(base(), Trains.FULL), tmp_path / "first")
    student = load_trainable(recipe(Trains.LORA), first, seed=5)
    matrix = load_file(first / "model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(student.model.get_input_embeddings().rows.weight.detach(), matrix[rim_rows(first)])


def test_an_embedding_without_unused_rows_grows(base, tmp_path):
    source = base(vocabulary=1051)
    out = saved(trained(source, Trains.FULL), tmp_path / "out")
    before, after = (load_file(folder / "model.safetensors") for folder in (source, out))
    name = "model.embed_tokens.weight"
    assert len(after[name]) == 1054
    kept = [row for row in range(1051) if row not in rim_rows(out)]
    assert torch.equal(before[name][kept], after[name][kept])


def test_dropout_is_the_adapters_where_there_are_some_else_the_attentions(base):
    adapted = load_trainable(recipe(Trains.LORA), base(), seed=0).model
    set_dropout(adapted, 0.25)
    rates = {module.p for name, module in adapted.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.25}
    assert all(layer.self_attn.attention_dropout == 0.0 for layer in adapted.model.layers)


def test_dropout_of_a_whole_model(tiny_model):
    model = tiny_model()
    set_dropout(model, 0.5)
    assert all(layer.self_attn.attention_dropout == 0.5 for layer in model.model.layers)


@pytest.mark.parametrize(("adapted", "rates"), [(False, {0.25}), (True, {0.25, 0.0})])
def test_a_checkpoints_own_dropout_does_not_count(adapted, rates):
    model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=8, n_layer=1, n_head=1, n_positions=16))
    whole = add_adapters(model, Lora(rank=2)) if adapted else model
    set_dropout(whole, 0.25)
    found = {name: module.p for name, module in whole.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert set(found.values()) == rates
    assert all((".lora_dropout." in name) == (rate == 0.25) for name, rate in found.items() if adapted)


@pytest.mark.parametrize(
    ("resources", "tolerance"),
    [
        (Resources(micro_batch=1), 1e-5),
        (Resources(recompute=True), 1e-6),
        (Resources(arithmetic=Arithmetic.BF16), 0.05),
    ],
    ids=["micro_batch", "recompute", "bf16"],
)
def test_resources_change_rounding_at_most(base, resources, tolerance):
    """Without dropout, which falls elsewhere when a batch is cut in another way."""
    source, quiet = base(), replace(CURRICULUM, stages=(replace(CURRICULUM.stages[0], learning_rate=1e-4),))
    plain, other = (fitted(source, Trains.FULL, quiet, given)[1] for given in (None, resources))
    assert other == pytest.approx(plain, rel=tolerance)
    if resources.arithmetic is Arithmetic.BF16:
        assert other != pytest.approx(plain, rel=1e-5), "the arithmetic must show"


def test_a_model_from_scratch_trains_everything():
    with pytest.raises(CurriculumError, match="trains everything, found trains = 'lora'"):
        load_trainable(replace(DEMO, trains=Trains.LORA), None, 0)
    with pytest.raises(CurriculumError, match="recipe 'test' has no model of its own"):
        load_trainable(recipe(Trains.FULL), None, 0)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real tokenizer is not at {DATA}")
def test_the_real_tokenizer_takes_unused_rows(tmp_path):
    """Qwen3's matrix has 151,936 rows, 267 of them unused: no resize, and 151,933 rows stay as they are."""
    folder = tmp_path / "base"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DATA / "qwen3-tokenizer" / name, folder)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    config = Qwen3Config(**shape, vocab_size=151_936, head_dim=8, intermediate_size=8, tie_word_embeddings=True)
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    out = saved(trained(folder, Trains.LORA), tmp_path / "out")
    assert rim_rows(out) == [151_669, 151_670, 151_671]
    before, after = (load_file(f / "model.safetensors")["model.embed_tokens.weight"] for f in (folder, out))
    assert (before != after).any(-1).nonzero().flatten().tolist() == [151_669, 151_670, 151_671]


def test_adapters_of_no_lower_rank_than_the_matrices_are_refused(base):
    with pytest.raises(CurriculumError, match=r"lora.rank is 17, expected 16 at most"):
        load_trainable(replace(recipe(Trains.LORA), lora=Lora(rank=17)), base(), seed=1)


@pytest.mark.parametrize("name", ["phi3", "gpt2", "llama with biases"])
def test_adapters_change_every_matrix_of_a_family_and_nothing_else_of_its_layers(tmp_path, name):
    source = tmp_path / "family"
    FAMILIES[name].build(source)
    student = trained(source, Trains.LORA)
    ids = torch.tensor([student.tokenizer.encode("Which?")])
    with torch.no_grad():
        hidden = student.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        expected = student.model.get_output_embeddings()(hidden)
    out = saved(student, tmp_path / "out")
    before = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).state_dict()
    loaded = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    after = loaded.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    vocabulary = {key for key in before if key.endswith(("embed_tokens.weight", "wte.weight", "lm_head.weight"))}
    positions = {key for key in before if key.endswith("wpe.weight")}
    layers = {key for key in before if before[key].dim() == 2} - vocabulary - positions
    assert moved - vocabulary == layers
    assert moved & vocabulary
    with torch.no_grad():
        logits = loaded(ids).logits
    torch.testing.assert_close(logits, expected, atol=0.05, rtol=0.05)  # the saved weights are bf16


def test_a_model_without_matrices_that_adapters_change_is_refused():
    small = GPT2Config(vocab_size=64, n_embd=8, n_layer=0, n_head=1, n_positions=16)
    with pytest.raises(CurriculumError, match=r"have no matrices, .* train whole layers"):
        add_adapters(GPT2LMHeadModel(small), Lora(rank=2))
