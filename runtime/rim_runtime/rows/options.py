"""The options of a row, in any of the forms in which public sets write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rim_runtime.errors import RowError
from rim_runtime.rows.keys import OPTIONS, columns_of

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARK = re.compile(r"\s*(?:\(([A-Z])\)|([A-Z])[).:])\s*(.*)", re.DOTALL)
"""An option's own letter in front of it, as AQuA (`A)21`) and AGIEval (`(A)21`) have it."""
_PAIRS = (("text", "label"), ("value", "key"))
"""How sets name an option's text and its label: ARC; the BigBIO form of MedQA."""


@dataclass(frozen=True)
class Options:
    """The options of a row, in order."""

    texts: tuple[str, ...] = ()
    """Their texts."""
    labels: tuple[str, ...] = ()
    """How the row itself names them (letters, or numbers as text); empty where it only lists them."""
    denied: bool = False
    """Whether the row says that it has none: `"choices": []`. Else they may stand in its text."""


def options_of(row: Mapping[str, Any]) -> Options:
    """Return a row's options; none where it has none. Raises RowError with what was found."""
    together = [key for key in OPTIONS if row.get(key) not in (None, [], {})]
    columns = columns_of(row)
    places = [*(f"'{key}'" for key in together), *([f"'{next(iter(columns))}', …"] if columns else [])]
    if len(places) > 1:
        raise RowError(f"there are options in {' and in '.join(places)}, expected one of them. Remove the other.")
    if columns:
        return _labelled(list(columns.values()), [row[key] for key in columns], ", ".join(columns))
    if together:
        return _of_value(row[together[0]], together[0])
    return Options(denied=any(row.get(key) in ([], {}) for key in OPTIONS))


def _of_value(value: Any, key: str) -> Options:
    if isinstance(value, Mapping):
        pair = next((pair for pair in _PAIRS if set(value) == set(pair)), None)
        if pair and all(isinstance(part, list) for part in value.values()):  # ARC's two lists
            return _labelled(value[pair[1]], value[pair[0]], key)
        return _labelled(list(value), list(value.values()), key)
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        pair = next((pair for pair in _PAIRS if all(set(item) == set(pair) for item in value)), None)
        if pair:  # ARC's original form
            return _labelled([item[pair[1]] for item in value], [item[pair[0]] for item in value], key)
    return _marked(_texts(value, key))


def _labelled(labels: Sequence[Any], texts: Sequence[Any], key: str) -> Options:
    """Return options with labels, which are `A, B, …`, `1, 2, …` or `0, 1, …` in order."""
    if len(labels) != len(texts):
        raise RowError(f"'{key}' has {len(texts)} texts and {len(labels)} labels, expected as many.")
    named = tuple(str(label).strip().upper() for label in labels)
    numbers = tuple(map(str, range(len(named) + 1)))
    if named not in (tuple(_ALPHABET[: len(named)]), numbers[1:], numbers[:-1]):
        shown = list(labels) if len(labels) <= 12 else [*labels[:12], "…"]
        raise RowError(f"'{key}' has the keys {shown}, expected A, B, C, … in order.")
    return Options(_texts(list(texts), key), named)


def _marked(texts: tuple[str, ...]) -> Options:
    """Return listed options without the letters in front of their texts, where each has its own."""
    found = [_MARK.fullmatch(text) for text in texts]
    letters = "".join((match[1] or match[2]) for match in found if match)
    if len(texts) > 1 and len(letters) == len(texts) and letters == _ALPHABET[: len(letters)]:
        return Options(tuple(match[3].strip() for match in found if match), tuple(letters))
    return Options(texts)


def _texts(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        shown = repr(value)
        raise RowError(
            f"'{key}' is {shown if len(shown) <= 200 else shown[:199] + '…'}, expected a list of texts, or texts "
            "by letter."
        )
    return tuple(value)
