"""Refuse control characters, except tabs and line ends, in a bundle's texts: terminals would obey them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rim_runtime.errors import BundleCorruptError

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""C0 and C1 (escape sequences begin there), line and paragraph separators, and controls of text direction."""


def refuse_control_characters(body: Any, where: str) -> None:
    """Raise BundleCorruptError if a text or key in this JSON value contains control characters."""
    for text in _texts(body):
        if _CONTROL.search(text):
            raise BundleCorruptError(
                f"{where} has {ascii(text)[:100]}, expected no control characters: a terminal would obey them. "
                "Do not use this bundle."
            )


def without_control_characters(text: str) -> str:
    """Return the text with control characters written as Python escapes."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def _texts(body: Any) -> Iterator[str]:
    """Yield all texts in a JSON value, keys included."""
    left = [body]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            left += value
