"""A recipe as a TOML file that says everything, to start one's own from."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from rim_edge.recipe.presets import Preset, preset
from rim_edge.recipe.recipe import Recipe
from rim_edge.recipe.toml import kinds_of

_HEAD = "What each field means: docs/training.md."


def recipe_text(recipe: Recipe) -> str:
    """Return TOML that `read_recipe` reads as this recipe; where a field has few values, they stand behind it.

    A model from scratch is not in it, so the recipe of a preset that has one names the preset.
    """
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(_HEAD))
    if recipe.scratch is not None:
        document.add("preset", tomlkit.item(_preset_of(recipe)))
    other = "rim" if recipe.curriculum.is_latent else "latent"
    for name, value in _values(recipe):
        if name != other:
            document.add(name, _item(type(recipe), name, value))
    return tomlkit.dumps(document)


def _preset_of(recipe: Recipe) -> str:
    """Return the preset whose model from scratch a recipe has; a file that took it over has a name of its own."""
    return next(str(name) for name in Preset if preset(name).scratch == recipe.scratch)


def _values(record: Any) -> Iterator[tuple[str, Any]]:
    """Give the fields that a file may set, by name: plain values first, then tables; none that are not set."""
    fields = [field for field in dataclasses.fields(record) if field.metadata.get("in_file", True)]
    values = {field.name: getattr(record, field.name) for field in fields}
    for field in fields:
        if values.get(field.metadata.get("unless", "")) is not None:
            del values[field.name]
    told = {name: value for name, value in values.items() if value is not None and value != ()}
    for wants_table in (False, True):
        yield from ((name, value) for name, value in told.items() if _is_table(value) is wants_table)


def _is_table(value: Any) -> bool:
    first = value[0] if isinstance(value, tuple) else value
    return dataclasses.is_dataclass(first)


def _item(kind: type, name: str, value: Any) -> Any:
    import tomlkit

    if isinstance(value, tuple) and _is_table(value):
        tables = tomlkit.aot()
        for record in value:
            tables.append(_table(record))
        return tables
    if dataclasses.is_dataclass(value):
        return _table(value)
    item, words = tomlkit.item(_plain(value)), _words(kind, name)
    return item.comment(words) if words else item


def _table(record: Any) -> Any:
    import tomlkit

    table = tomlkit.table()
    for name, value in _values(record):
        table.add(name, _item(type(record), name, value))
    return table


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Path):
        return str(value.absolute())  # the text may be written to any folder
    return str(value) if isinstance(value, StrEnum) else value


def _words(kind: type, name: str) -> str:
    """Return the values of a field that has few; nothing for others."""
    kinds = kinds_of(typing.get_type_hints(kind)[name])
    words = [word for found in kinds if isinstance(found, type) and issubclass(found, StrEnum) for word in found]
    if not words:
        return ""
    return ", ".join(words) if len(kinds) == 1 else f"or: {', '.join(words)}"
