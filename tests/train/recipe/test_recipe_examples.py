"""The recipes in examples/training: read, paid for in memory on paper, and started by commands that exist."""

import json
import re
import shlex
from dataclasses import replace

import pytest
import torch
import typer.main
from transformers import Qwen3Config, Qwen3ForCausalLM

from rim_edge.cli.app import app
from rim_edge.model.trainable import add_adapters
from rim_edge.recipe.recipe import Lora, Recipe, Sharding, Trains
from rim_edge.recipe.switches import Objective
from rim_edge.recipe.toml import read_recipe
from rim_edge.training.memory import Shape
from rim_edge.training.memory import memory as on_paper
from tests.places import REPOSITORY

EXAMPLES = REPOSITORY / "examples" / "training"
RECIPES = sorted(EXAMPLES.glob("*.toml"))
PAGE = (EXAMPLES / "README.md").read_text(encoding="utf-8")
SHAPE = Shape(2048, 6144, 28, 2048, 1024, 128, 151_936, tied=True)


def memory(recipe: Recipe, processes: int = 1) -> float:
    return round(sum(on_paper(SHAPE, recipe, processes).values()) / 1e9, 1)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read_and_trains_both_stages_with_eight_blocks_of_two(path):
    recipe = read_recipe(path)
    assert [stage.objective for stage in recipe.curriculum.stages] == [Objective.STEPS, Objective.ANSWER]
    assert (recipe.rim.blocks, recipe.rim.memory_tokens) == (8, 2)
    first, second = recipe.curriculum.stages
    assert second.learning_rate < first.learning_rate
    assert second.dropout > first.dropout
    assert all(path.parent / "data" in file.path.parents for file in recipe.data)


def test_the_parameters_on_paper_are_those_of_the_model(tmp_path):
    config = Qwen3Config(
        vocab_size=SHAPE.vocabulary,
        hidden_size=SHAPE.width,
        intermediate_size=SHAPE.inner,
        num_hidden_layers=SHAPE.layers,
        num_attention_heads=SHAPE.queries // SHAPE.head,
        num_key_value_heads=SHAPE.keys // SHAPE.head,
        head_dim=SHAPE.head,
        tie_word_embeddings=SHAPE.tied,
    )
    config.to_json_file(tmp_path / "config.json", use_diff=False)
    assert Shape.of(json.loads((tmp_path / "config.json").read_text())) == SHAPE
    with torch.device("meta"):
        model = Qwen3ForCausalLM(config)
        whole = sum(parameter.numel() for parameter in model.parameters())
        assert whole == SHAPE.words + SHAPE.layers * SHAPE.layer + SHAPE.width
        add_adapters(model, Lora(rank=128))
    assert SHAPE.adapters(128) == sum(p.numel() for n, p in model.named_parameters() if "lora_" in n)


def test_the_memory_that_the_recipes_name_is_what_the_paper_says():
    one = read_recipe(EXAMPLES / "qwen3-1.7b-24gb.toml")
    many = read_recipe(EXAMPLES / "qwen3-1.7b-8-gpus.toml")
    assert one.trains is Trains.LORA
    assert one.lora.rank == 128
    assert f"at most (memory.py): {memory(one)} GB" in (EXAMPLES / "qwen3-1.7b-24gb.toml").read_text()
    shared_out = replace(many, resources=replace(many.resources, sharding=Sharding.LAYERS))
    told = f"{memory(many, 8)} GB as it stands, {memory(shared_out, 8)} GB with sharding"
    assert told in (EXAMPLES / "qwen3-1.7b-8-gpus.toml").read_text()
    for figure in (memory(one), memory(many, 8), memory(shared_out, 8)):
        assert f" {figure} " in PAGE


def test_the_pages_commands_and_options_exist():
    """Every option of every `rim-edge` command on the page is one of its verb's."""
    root = typer.main.get_command(app)
    verbs = {name: root.get_command(typer.Context(root), name) for name in ("train", "eval", "export", "ask")}
    text = PAGE.replace("\\\n", " ")
    found = re.findall(r"^\$ (?:accelerate launch .* -m rim_edge|rim-edge) (\w+) (.*)$", text, re.MULTILINE)
    assert {verb for verb, _ in found} == set(verbs)
    for verb, rest in found:
        known = {name for option in verbs[verb].params for name in option.opts}
        used = {word.partition("=")[0] for word in shlex.split(rest) if re.match("--?[a-z]", word)}
        assert used <= known, f"rim-edge {verb}"
    for name in re.findall(r"examples/training/([\w.-]+)", PAGE):
        assert (EXAMPLES / name).exists(), name
