"""Frozen dataclasses from JSON, every field's name and type checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from rim_runtime.errors import BundleCorruptError

T = TypeVar("T")


def build(kind: type[T], value: Any, where: str) -> T:
    """Build a frozen dataclass from JSON; fields with a default may be missing. Raises BundleCorruptError."""
    hints = get_type_hints(kind)
    fields = dataclasses.fields(cast("type[Any]", kind))
    needed = {one.name for one in fields if one.default is one.default_factory is dataclasses.MISSING}
    if not isinstance(value, dict) or not needed <= set(value) <= set(hints):
        found = sorted(value) if isinstance(value, dict) else value
        raise BundleCorruptError(f"{where}: {kind.__name__} has {found}, expected the keys {sorted(hints)}.")
    return kind(
        **{name: _convert(hint, value[name], f"{where}: {name}") for name, hint in hints.items() if name in value}
    )


def build_known(kind: type[T], value: Any, where: str) -> T:
    """Build it; keys that later releases add are left out."""
    names = {one.name for one in dataclasses.fields(cast("type[Any]", kind))}
    known = {key: one for key, one in value.items() if key in names} if isinstance(value, dict) else value
    return build(kind, known, where)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return build(cast("type[Any]", hint), value, where)
    if origin in (Union, UnionType):
        inner = next(kind for kind in arguments if kind is not NoneType)
        return None if value is None else _convert(inner, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is Mapping and isinstance(value, dict):
        return {key: _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(hint, type) and issubclass(hint, StrEnum) and value in [member.value for member in hint]:
        return hint(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise BundleCorruptError(f"{where} is {value!r}, expected {_describe(hint)}.")


def _describe(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "one of " + ", ".join(member.value for member in hint)
    return getattr(hint, "__name__", str(hint))
