"""Recipes from TOML files.

preset = "gsm8k"              gives what the file leaves out; without it the file must be complete
trains = "lora"

[curriculum]                  and [rim], [lora], [limits], [resources]: the fields of the dataclasses
batch_size = 64

[[curriculum.stages]]         if given, they replace the preset's
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

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from rim_runtime.errors import InputError

from rim_edge.errors import CurriculumError
from rim_edge.recipe.presets import preset
from rim_edge.recipe.recipe import Recipe


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


T = TypeVar("T")


def from_table(kind: type[T], table: object, place: str, base: T | None = None) -> T:
    """Return an instance of a frozen dataclass. Raises CurriculumError."""
    if not isinstance(table, Mapping):
        raise CurriculumError(f"{place} is {table!r}, expected a table.")
    hints, fields = typing.get_type_hints(kind), _fields(kind)
    if unknown := sorted(set(table) - set(fields)):
        raise CurriculumError(f"{place} has the unknown keys {unknown}, expected only: {', '.join(fields)}.")
    values = {
        key: _value(hints[key], value, f"{place}.{key}", getattr(base, key, None)) for key, value in table.items()
    }
    if base is not None:
        return dataclasses.replace(base, **values)  # type: ignore[type-var]
    missing = [name for name, field in fields.items() if name not in values and _required(field)]
    if missing:
        raise CurriculumError(f"{place} lacks {', '.join(missing)}. Add what is missing.")
    return kind(**values)


def _fields(kind: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields that a file may set, by name."""
    return {field.name: field for field in dataclasses.fields(kind) if field.metadata.get("in_file", True)}


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: Any, value: object, place: str, base: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if dataclasses.is_dataclass(hint):
        return from_table(typing.cast(type, hint), value, place, base)
    if typing.get_origin(hint) is tuple:
        return _items(typing.get_args(hint), value, place)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _member(hint, value, place)
    return _plain(hint, value, place)


def _items(kinds: tuple[Any, ...], value: object, place: str) -> tuple[Any, ...]:
    open_end = kinds[-1] is Ellipsis
    if not isinstance(value, list) or not (open_end or len(value) == len(kinds)):
        count = "" if open_end else f" of {len(kinds)}"
        raise CurriculumError(f"{place} is {value!r}, expected a list{count}.")
    wanted = len(value) * kinds[:1] if open_end else kinds
    return tuple(
        _value(kind, item, f"{place}[{index}]", None)
        for index, (kind, item) in enumerate(zip(wanted, value, strict=True))
    )


def _member(kind: type[StrEnum], value: object, place: str) -> StrEnum:
    if value not in list(kind):
        raise CurriculumError(f"{place} is {value!r}, expected one of: {', '.join(kind)}.")
    return kind(typing.cast(str, value))


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "some text", Path: "a path"}


def _plain(kind: Any, value: object, place: str) -> Any:
    """Check a bool, int, float, str or Path; a float may be given as a whole number, a Path as text."""
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not kind:
        raise CurriculumError(f"{place} is {value!r}, expected {_NAMES[kind]}.")
    return value
