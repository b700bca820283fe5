"""Recipes from TOML files.

preset = "gsm8k"              what the file does not say comes from here; without it the file says it all
trains = "lora"

[curriculum]                  and [rim], [lora], [limits], [resources]: the fields of the dataclasses
batch_size = 64

[[curriculum.stages]]         given at all, they take the place of the preset's
name = "stage 1"
objective = "steps"
steps = 350
learning_rate = 1e-4

[[data]]                      paths count from the file's folder
path = "train.jsonl.gz"

[eval]
path = "test.jsonl.gz"
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from rim_runtime.errors import InputError

from rim_edge.train.errors import CurriculumError
from rim_edge.train.presets import preset
from rim_edge.train.recipe import Recipe
from rim_edge.train.tables import from_table


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises CurriculumError with the file, the key and what was expected."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CurriculumError(f"{path} cannot be read ({error}). Pass a TOML file.") from None
    except tomllib.TOMLDecodeError as error:
        raise CurriculumError(f"{path} is no TOML ({error}). Mend the file.") from None
    base = table.pop("preset", None)
    if base is not None and not isinstance(base, str):
        raise CurriculumError(f"{path}: preset is {base!r}, expected a name.")
    table.setdefault("name", path.stem)
    try:
        recipe = from_table(Recipe, table, "recipe", None if base is None else preset(base))
    except InputError as error:
        raise CurriculumError(f"{path}: {error}") from None
    files = tuple(replace(file, path=path.parent / file.path) for file in recipe.data)
    scored = recipe.eval and replace(recipe.eval, path=path.parent / recipe.eval.path)
    return replace(recipe, data=files, eval=scored)
