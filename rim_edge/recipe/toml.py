"""Recipes from TOML files.

preset = "gsm8k"              gives what the file leaves out; without it the file must be complete
trains = "lora"

[curriculum]                  and [rim], [latent], [lora], [limits], [resources], [scoring]: fields of dataclasses
batch_size = 64

[[curriculum.stages]]         if given, they replace the preset's
name = "stage 1"
objective = "steps"
steps = 350                   or epochs = 6
learning_rate = 1e-4

[[data]]                      paths count from the file's folder
path = "train.jsonl.gz"

[eval]
path = "test.jsonl.gz"
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from rim_export.checkpoint.prompt import RimSettings
from rim_runtime.errors import InputError
from rim_runtime.machine.given_file import read_given

from rim_edge.errors import CurriculumError
from rim_edge.recipe.bounds import SettingError, shown
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.inputs import DataFile, EvalFile
from rim_edge.recipe.latent import LatentTraining
from rim_edge.recipe.presets import PRESETS, preset
from rim_edge.recipe.recipe import Limits, Lora, Recipe, Resources, Scoring

_PRESET = "preset"


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises CurriculumError with the file, the key and what was expected."""
    table = _read_table(path)
    try:
        recipe = _recipe(table, path.stem)
    except InputError as error:
        raise CurriculumError(f"{path}: {error}") from None
    files = tuple(replace(file, path=path.parent / file.path) for file in recipe.data)
    scored = recipe.eval and replace(recipe.eval, path=path.parent / recipe.eval.path)
    return replace(recipe, data=files, eval=scored, file=path)


def _read_table(path: Path) -> dict[str, Any]:
    content = read_given(path, "a recipe in TOML", CurriculumError)
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise CurriculumError(f"{path} cannot be read ({error}). Pass a TOML file.") from None
    except RecursionError:
        raise CurriculumError(f"{path} is nested too deep, expected a few tables. Mend the file.") from None
    except ValueError as error:  # tomllib's own error is one; a number of thousands of digits is a plain one
        raise CurriculumError(f"{path} is no TOML ({error}). Mend the file.") from None


def _recipe(table: dict[str, Any], name: str) -> Recipe:
    base = table.pop(_PRESET, None)
    if base is not None and not isinstance(base, str):
        raise SettingError("", _PRESET, shown(base), f"one of: {', '.join(PRESETS)}")
    whole = None if base is None else preset(base)
    if whole is None and "curriculum" not in table:
        _refuse_unknown(Recipe, table, "")
        raise CurriculumError(
            f'there is neither a preset nor a curriculum, expected one: preset = "gsm8k" (or {_others("gsm8k")}), '
            "or stages of your own ([[curriculum.stages]])."
        )
    table.setdefault("name", name)
    return from_table(Recipe, table, "", whole)


def _others(name: str) -> str:
    return ", ".join(other for other in PRESETS if other != name)


_TABLES: Mapping[str, type] = types.MappingProxyType(
    {
        "[[curriculum.stages]]": Stage,
        "[curriculum]": Curriculum,
        "[rim]": RimSettings,
        "[latent]": LatentTraining,
        "[lora]": Lora,
        "[limits]": Limits,
        "[resources]": Resources,
        "[scoring]": Scoring,
        "[[data]]": DataFile,
        "[eval]": EvalFile,
    }
)
"""The tables of a file, for hints."""
T = TypeVar("T")


def from_table(kind: type[T], table: object, place: str, base: T | None = None) -> T:
    """Return an instance of a frozen dataclass. Raises CurriculumError."""
    if not isinstance(table, Mapping):
        raise CurriculumError(f"{place} is {shown(table)}, expected a table.")
    _refuse_unknown(kind, table, place)
    hints, fields = typing.get_type_hints(kind), _fields(kind)
    values = {
        key: _value(hints[key], value, _join(place, key), getattr(base, key, None)) for key, value in table.items()
    }
    missing = [name for name, field in fields.items() if name not in values and _required(field)]
    instead = {name: fields[name].metadata.get("unless") for name in missing}
    values |= {name: 0 for name in missing if instead[name] in values}
    missing = [_with(name, instead[name]) for name in missing if name not in values]
    if missing and base is None:
        raise CurriculumError(f"{place or 'it'} lacks {', '.join(missing)}. Add what is missing.")
    try:
        return kind(**values) if base is None else dataclasses.replace(base, **values)  # type: ignore[type-var]
    except SettingError as error:
        raise error.at(place) from None


def _refuse_unknown(kind: type, table: Mapping[str, Any], place: str) -> None:
    known = [*([] if place else [_PRESET]), *_fields(kind)]
    for key in table:
        if key not in known:
            where = f"{place} has" if place else "there is"
            near = difflib.get_close_matches(key.casefold(), known, 1, 0.7)
            hint = f"did you mean {near[0]}? Expected" if near else f"{_elsewhere(key)}expected"
            raise CurriculumError(f"{where} the unknown key {shown(key)}, {hint} only: {', '.join(known)}.")


def _elsewhere(key: str) -> str:
    """Return a hint where a key of this name belongs into another table."""
    home = next((table for table, kind in _TABLES.items() if key in _fields(kind)), None)
    return f"it belongs into {home}; " if home else ""


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _with(name: str, other: str | None) -> str:
    return f"{name} (or {other})" if other else name


def _fields(kind: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields that a file may set, by name."""
    return {field.name: field for field in dataclasses.fields(kind) if field.metadata.get("in_file", True)}


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: Any, value: object, place: str, base: Any) -> Any:
    hint = _chosen(kinds_of(hint), value)
    if dataclasses.is_dataclass(hint):
        return from_table(typing.cast(type, hint), value, place, base)
    if typing.get_origin(hint) is tuple:
        return _items(typing.get_args(hint), value, place)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _member(hint, value, place)
    return _plain(hint, value, place)


def kinds_of(hint: Any) -> list[Any]:
    """Return the kinds that a field's value may be of, besides None."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return [part for part in typing.get_args(hint) if part is not type(None)]
    return [hint]


def _chosen(kinds: list[Any], value: object) -> Any:
    """Return the kind that a value is of: of a number or a word, the word for text."""
    words = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, StrEnum)]
    return words[0] if words and isinstance(value, str) else kinds[0]


def _items(kinds: tuple[Any, ...], value: object, place: str) -> tuple[Any, ...]:
    open_end = kinds[-1] is Ellipsis
    if not isinstance(value, list) or not (open_end or len(value) == len(kinds)):
        count = "" if open_end else f" of {len(kinds)}"
        raise CurriculumError(f"{place} is {shown(value)}, expected a list{count}.")
    wanted = len(value) * kinds[:1] if open_end else kinds
    return tuple(
        _value(kind, item, f"{place}[{index}]", None)
        for index, (kind, item) in enumerate(zip(wanted, value, strict=True))
    )


def _member(kind: type[StrEnum], value: object, place: str) -> StrEnum:
    if value not in list(kind):
        raise CurriculumError(f"{place} is {shown(value)}, expected one of: {', '.join(kind)}.")
    return kind(typing.cast(str, value))


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "some text", Path: "a path"}


def _plain(kind: Any, value: object, place: str) -> Any:
    """Check a bool, int, float, str or Path; a float may be given as a whole number, a Path as text."""
    if kind is float and type(value) is int:
        return _as_float(value, place)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not kind:
        raise CurriculumError(f"{place} is {shown(value)}, expected {_NAMES[kind]}.")
    return value


def _as_float(value: int, place: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise CurriculumError(f"{place} is {shown(value)}, expected a number below 1e308.") from None
