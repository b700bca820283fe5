"""A recipe that is printed is read as the same recipe."""

from dataclasses import replace

import pytest

from rim_edge.recipe.changes import Changes
from rim_edge.recipe.presets import PRESETS
from rim_edge.recipe.recipe import MicroBatch
from rim_edge.recipe.toml import read_recipe
from rim_edge.recipe.toml_text import recipe_text
from tests.places import REPOSITORY

FILES = sorted(path for path in (REPOSITORY / "examples").rglob("*.toml") if "curriculum" in path.read_text())


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(recipe_text(PRESETS[name]), encoding="utf-8")
    assert read_recipe(path) == PRESETS[name]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_recipes_of_files_whose_data_keep_their_places(file, tmp_path):
    recipe = Changes(micro_batch=MicroBatch.AUTO).of(read_recipe(file))
    path = tmp_path / "mine.toml"
    path.write_text(recipe_text(recipe), encoding="utf-8")
    read = read_recipe(path)
    assert read == replace(recipe, file=path)
    assert [data.path for data in read.data] == [data.path for data in recipe.data]


def test_a_file_with_the_model_of_a_preset_names_that_preset(tmp_path):
    mine, again = tmp_path / "mine.toml", tmp_path / "again.toml"
    mine.write_text('preset = "demo"\n[curriculum]\nbatch_size = 8\n', encoding="utf-8")
    recipe = read_recipe(mine)
    again.write_text(recipe_text(recipe), encoding="utf-8")
    assert replace(read_recipe(again), name=recipe.name, file=recipe.file) == recipe


def test_values_to_choose_from_stand_beside_theirs():
    text = recipe_text(PRESETS["gsm8k"])
    assert 'step_end = "none" # none, newline, turn' in text
    assert "micro_batch = 4 # or: auto" in text
    assert 'prefetch = "auto" # auto, on, off' in text
    assert "[latent]" not in text
